"""Own images: found in a folder, decoded and preprocessed by the very code that serves uploads."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple, Self

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from serving.imaging.decoding import configure_pillow
from serving.imaging.preprocessing import preprocess
from serving.model.card import Name
from training.datasets.folder_layout import LabelledFile, find_layout
from training.datasets.folder_splits import first_of_each_split, in_split_order, split_of_each
from training.datasets.formats import DataError
from training.datasets.image_file import FIT, printable, read_content, read_image
from training.datasets.labelled import LabelledImages, TrainTest
from training.datasets.left_out import refusal_messages, shortened
from training.datasets.split_names import TEST, TRAIN, VALIDATION
from training.progress import track

MIN_IMAGES_PER_LABEL = 10  # so that two of them are test images
INPUT_SIDES = (28, 32, 64)  # that an input may have: those of the known small data sets, and one for photos
SAMPLE_SIZE = 500  # images that decide on size and colour; to decode all of many photos twice would take long
GREY_SHARE = 0.95  # of the sample: a few scans in colour don't make grey images colour images


class ImageFile(NamedTuple):
    """A file, and the width and the height of the image in it."""

    path: Path
    size: tuple[int, int]


class OwnImage(NamedTuple):
    """An own image that was read. digest: of the file's bytes. pixels: uint8 [side, side, channels]."""

    file: LabelledFile
    digest: bytes
    size: tuple[int, int]
    pixels: NDArray[np.uint8]


@dataclass(frozen=True)
class OwnImages(TrainTest):
    """The own images in memory, and the file of each: those of a split in the order of its images."""

    files: Mapping[str, Sequence[ImageFile]] = field(default_factory=dict)


@dataclass(frozen=True)
class ImageFolder:
    """Own images, as the source of a recipe.

    name: of the model. files: in the order in which they are split. side: of the square input, in pixels. layout: in
    words. left_out: what was found beside the files, as messages. typical_side: the median of the images' shorter
    sides, or the side that was asked for. multi_label: whether an image may have several labels, or none.
    """

    name: str
    path: Path
    labels: tuple[str, ...]
    files: tuple[LabelledFile, ...]
    side: int
    channels: int
    layout: str = ""
    left_out: tuple[str, ...] = ()
    typical_side: int = 0
    multi_label: bool = False
    licence: str = "not stated; that is for the owner of the images to say"

    @classmethod
    def open(
        cls,
        path: Path,
        name: str,
        sample_size: int = SAMPLE_SIZE,
        multi_label: bool = False,
        side: int | None = None,
    ) -> Self:
        """List the images, and choose the input's channels, and its side unless it is given, from a sample of them.

        Raises DataError when nothing can be learned from the folder.
        """
        configure_pillow()
        layout = find_layout(path, multi_label)
        labels = layout.labels
        files = in_split_order(layout.files, partial(_within, path))
        _refuse_few(path, labels, files, layout.left_out)
        train_files = [file.path for file, split in zip(files, split_of_each(files), strict=True) if split == TRAIN]
        typical, channels = _input_for(train_files[-sample_size:])
        side, typical = side or largest_filled(INPUT_SIDES, typical), side or typical
        return cls(name, path, labels, tuple(files), side, channels, layout.kind, layout.left_out, typical, multi_label)

    @property
    def title(self) -> str:
        """The title, which differs from that of each built-in data set."""
        return f"own images ({self.name})"

    def named(self, file: Path) -> str:
        """Return the name of one of the files for people: its path in the folder."""
        return printable(_within(self.path, file))

    def load(self, data_dir: Path | None = None, limit: int | None = None) -> OwnImages:
        """Read the images; without splits, the same fifth of each label's images is always the test set.

        Leaves out and lists the files that cannot be read. Does the same with copies of a file, which could be in the
        training and in the test set, and with both of two copies that have different labels. Ignores data_dir, the
        place of downloaded data. Raises DataError when too few images are left. limit: only the first images of each
        split are read, at most so many.
        """
        skipped: list[str] = []
        listed = first_of_each_split(self.files, limit) if limit else self.files
        images = _without_copies(list(self._read(listed, skipped)), skipped)
        labelled = [image.file for image in images]
        if not limit:
            _refuse_few(self.path, self.labels, labelled, (*skipped, *self.left_out))
        splits: dict[str, list[OwnImage]] = defaultdict(list)
        for image, split in zip(images, split_of_each(labelled), strict=True):
            splits[split].append(image)
        for split, needed in (
            (TEST, "test images has a label to be measured"),
            (TRAIN, "training images has a label to be learned"),
        ):
            if not any(one.file.labels for one in splits[split]):
                advice = "raise --limit" if len(listed) < len(self.files) else "add images with labels to them"
                raise DataError(f"{printable(self.path)}: none of the {needed}: {advice}")
        kept = {split: self._stacked(some) for split, some in splits.items()}
        files = {split: [ImageFile(one.file.path, one.size) for one in some] for split, some in splits.items()}
        return OwnImages(kept[TRAIN], kept[TEST], limit, tuple(skipped), kept.get(VALIDATION), files)

    def _read(self, files: Sequence[LabelledFile], skipped: list[str]) -> Iterator[OwnImage]:
        """Yield the images; append to skipped why others cannot be read."""
        refused: dict[Path, str] = {}
        for file in track(f"Reading {len(files):,} images", files, len(files)):
            try:
                content = read_content(file.path)
                decoded, size = read_image(content, file.path, self.side)
            except DataError as reason:
                refused[file.path] = str(reason)
                continue
            pixels = preprocess(decoded, FIT, self.side, self.side, self.channels).pixels
            yield OwnImage(file, hashlib.sha256(content).digest(), size, pixels)
        skipped += refusal_messages(refused)

    def _stacked(self, images: Sequence[OwnImage]) -> LabelledImages:
        pixels = torch.from_numpy(np.stack([image.pixels for image in images]))
        indices = {label: index for index, label in enumerate(self.labels)}
        labels = [[indices[label] for label in image.file.labels] for image in images]
        if not self.multi_label:
            return LabelledImages(pixels, torch.tensor([label for (label,) in labels]))
        truth = torch.zeros(len(images), len(self.labels), dtype=torch.bool)
        for row, own in zip(truth, labels, strict=True):
            row[own] = True
        return LabelledImages(pixels, truth)


def largest_filled(sides: Sequence[int], typical: int) -> int:
    """Return the largest side that at least half of the images fill: others lose detail, or only take more time."""
    return max((side for side in sides if side <= typical), default=sides[0])


def is_model_name(name: str) -> bool:
    """Return whether a model folder may have this name."""
    try:
        msgspec.convert(name, Name)
    except msgspec.ValidationError:
        return False
    return True


def _within(path: Path, file: Path) -> Path:
    """Return a file's path in the folder of images, or of their table; one that lies elsewhere stays as it is."""
    root = path.parent if path.is_file() else path
    return file.relative_to(root) if file.is_relative_to(root) else file


def _without_copies(images: Sequence[OwnImage], skipped: list[str]) -> list[OwnImage]:
    """Return the images without copies of others; add to skipped which were left out, and why."""
    copies: dict[bytes, list[OwnImage]] = defaultdict(list)
    for image in images:
        copies[image.digest].append(image)
    kept = []
    for same in copies.values():
        first, *others = (image.file for image in same)
        other = next((copy for copy in others if {*copy.labels} != {*first.labels}), None)
        if other:
            skipped.insert(  # the first are told in any case
                0,
                f"{printable(first.path)}: the same image as {printable(other.path)}, so that its label is either "
                f"{';'.join(first.labels)!r} or {';'.join(other.labels)!r}: neither is learned; remove the wrong one",
            )
        else:
            kept.append(same[0])
            skipped += [f"{printable(copy.path)}: a copy of {printable(first.path)}" for copy in others]
    return kept


def _refuse_few(path: Path, labels: Sequence[str], files: Sequence[LabelledFile], skipped: Sequence[str] = ()) -> None:
    """Raise DataError when a label has too few images, not counting those that the layout sets apart."""
    counts = Counter(label for file in files if file.split in ("", TRAIN) for label in file.labels)
    if few := [f"{counts[label]} of {label!r}" for label in labels if counts[label] < MIN_IMAGES_PER_LABEL]:
        unread = f", not counting what was left out, such as {skipped[0]}" if skipped else ""
        raise DataError(
            f"{printable(path)}: too few images: {shortened(few)}{unread}; each label needs at least "
            f"{MIN_IMAGES_PER_LABEL}: add some, or leave out the label"
        )


def _input_for(sample: Sequence[Path]) -> tuple[int, int]:
    """Return the median of the images' shorter sides, and the channels of the input that suits them."""
    sides, greys, skipped = [], [], []
    for file in track(f"Looking at {len(sample):,} images for their size and colours", sample, len(sample)):
        try:
            decoded, size = read_image(read_content(file), file, max(INPUT_SIDES))
        except DataError as reason:
            skipped.append(str(reason))
            continue
        sides.append(min(size))
        greys.append(decoded.grey)
    if not sides:
        raise DataError(f"none of {len(skipped)} sampled images can be read; the first: {skipped[0]}")
    return int(median(sides)), 1 if sum(greys) >= GREY_SHARE * len(greys) else 3
