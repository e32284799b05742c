"""Own images: a folder of images for each label, decoded and preprocessed by the very code that serves uploads."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Self

import msgspec
import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from serving.errors import Refusal
from serving.imaging.decoding import DecodedImage, PixelBudget, configure_pillow, decode, read_header
from serving.imaging.preprocessing import preprocess
from serving.imaging.scaling import side_needed
from serving.model.card import Label, Name
from serving.settings import Settings
from training.datasets.formats import DataError
from training.datasets.labelled import LabelledImages, TrainTest
from training.progress import CONSOLE

MIN_IMAGES_PER_LABEL = 10  # so that two of them are test images
TEST_FRACTION = 5  # one image of a label in so many is a test image
INPUT_SIDES = (28, 32, 64)  # that an input may have: those of the known small data sets, and one for photos
SAMPLE_SIZE = 500  # images that decide on size and colour; to decode all of many photos twice would take long
FIT = "photo"  # how own images become inputs
GREY_SHARE = 0.95  # of the sample: a few scans in colour don't make grey images colour images
SERVICE = Settings()  # training refuses what a service with default settings refuses


@dataclass(frozen=True)
class ImageFolder:
    """Own images, as the source of a recipe.

    name: of the model. files: label index and path of each. side: of the square input, in pixels.
    """

    name: str
    path: Path
    labels: tuple[str, ...]
    files: tuple[tuple[int, Path], ...]
    side: int
    channels: int
    licence: str = "not stated; that is for the owner of the images to say"

    @classmethod
    def open(cls, path: Path, name: str, sample_size: int = SAMPLE_SIZE) -> Self:
        """List the images, and choose the input's side and channels from a sample of the training images.

        Raises DataError when nothing can be learned from the folder.
        """
        configure_pillow()
        labels = _labels(path)
        files = [(index, file) for index, label in enumerate(labels) for file in _files(path / label)]
        _refuse_few(path, labels, [index for index, _ in files])
        files.sort(key=lambda labelled: _rank(labelled[1].relative_to(path)))
        is_test = _test_mask(torch.tensor([index for index, _ in files])).tolist()
        train_files = [file for (_, file), test in zip(files, is_test, strict=True) if not test]
        side, channels = _input_for(train_files[-sample_size:])
        return cls(name, path, labels, tuple(files), side, channels)

    @property
    def title(self) -> str:
        """The title, which differs from that of each built-in data set."""
        return f"own images ({self.name})"

    def load(self, data_dir: Path | None = None, limit: int | None = None) -> TrainTest:
        """Read the images; the same fifth of each label's images is always the test set.

        Leaves out and lists the files that cannot be read. Does the same with copies of a file, which could be in the
        training and in the test set. Ignores data_dir, the place of downloaded data. Raises DataError when too few
        images are left.
        """
        labels, pixels, skipped = [], [], []
        known: dict[bytes, Path] = {}
        for label, file in track(self.files, "reading", console=CONSOLE, transient=True):
            try:
                content = _content(file)
                if (first := known.setdefault(hashlib.sha256(content).digest(), file)) != file:
                    raise DataError(f"{_printable(file)}: a copy of {_printable(first)}")
                decoded = _decoded(content, file, self.side)
                pixels.append(preprocess(decoded, FIT, self.side, self.side, self.channels).pixels)
                labels.append(label)
            except DataError as reason:
                skipped.append(str(reason))
        _refuse_few(self.path, self.labels, labels, skipped)
        images = LabelledImages(torch.from_numpy(np.stack(pixels)), torch.tensor(labels))
        is_test = _test_mask(images.labels)
        train, test = (images.take(mask).take(slice(limit)) for mask in (~is_test, is_test))
        return TrainTest(train, test, limit, tuple(skipped))


def is_model_name(name: str) -> bool:
    """Return whether a model folder may have this name."""
    return _is_valid(name, Name)


def _labels(path: Path) -> tuple[str, ...]:
    """Return the names of the folders in a folder. Raises DataError when they are not labels."""
    layout = "make a folder of images for each label in it, such as roses/1.jpg and tulips/1.jpg"
    if not path.is_dir():
        raise DataError(f"{_printable(path)}: no such folder; {layout}")
    labels = sorted(folder.name for folder in path.iterdir() if folder.is_dir() and not folder.name.startswith("."))
    if len(labels) < 2:
        raise DataError(f"{_printable(path)}: {len(labels)} folders in it, at least 2 are needed; {layout}")
    for label in labels:
        if not (_is_valid(label, Label) and label.isprintable()):
            raise DataError(
                f"{_printable(path / label)}: this name cannot be a label; rename it, without colons, line breaks and "
                "other unprintable characters"
            )
    return tuple(labels)


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder and in those below it, except hidden ones."""
    for file in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
        if file.is_file() and not hidden:
            yield file


def _rank(path: Path) -> bytes:
    """Return the sort key of an image: a pseudo-random but fixed order, in which a new image moves few others."""
    return hashlib.sha256(bytes(path)).digest()


def _refuse_few(path: Path, labels: Sequence[str], found: Sequence[int], skipped: Sequence[str] = ()) -> None:
    """Raise DataError when a label has too few images; found: the label index of each image."""
    counts = Counter(found)
    few = [f"{counts[i]} of {label!r}" for i, label in enumerate(labels) if counts[i] < MIN_IMAGES_PER_LABEL]
    if few:
        unread = f", not counting {len(skipped)} that cannot be read, such as {skipped[0]}" if skipped else ""
        raise DataError(
            f"{_printable(path)}: too few images: {', '.join(few)}{unread}; each label needs at least "
            f"{MIN_IMAGES_PER_LABEL}: add some, or move its folder away"
        )


def _input_for(sample: Sequence[Path]) -> tuple[int, int]:
    """Return the side and the channels of the input that suits these images.

    The side is the largest that at least half of the images fill. A smaller one would lose detail; a larger one would
    only take more time.
    """
    sides, greys, skipped = [], [], []
    for file in sample:
        try:
            decoded = _decoded(_content(file), file, max(INPUT_SIDES))
        except DataError as reason:
            skipped.append(str(reason))
            continue
        sides.append(min(decoded.image.size))
        greys.append(decoded.grey)
    if not sides:
        raise DataError(f"none of {len(skipped)} sampled images can be read; the first: {skipped[0]}")
    side = max((side for side in INPUT_SIDES if side <= median(sides)), default=INPUT_SIDES[0])
    return side, 1 if sum(greys) >= GREY_SHARE * len(greys) else 3


def _content(file: Path) -> bytes:
    """Return a file's bytes. Raises DataError when they are more than the service takes."""
    try:
        size = file.stat().st_size
        if size > SERVICE.max_body:
            raise DataError(
                f"{_printable(file)}: The file has {size:,} bytes; at most {SERVICE.max_body:,} are read. Make it "
                "smaller."
            )
        return file.read_bytes()
    except OSError as error:
        raise DataError(f"{_printable(file)}: {error.strerror}") from error


def _decoded(content: bytes, file: Path, side: int) -> DecodedImage:
    """Decode a file as the service decodes an upload for an input of this side, large photos scaled down.

    Raises DataError when the service would refuse it.
    """
    try:
        return decode(read_header(content, PixelBudget(SERVICE.max_pixels)), side_needed(FIT, side, side))
    except Refusal as error:
        raise DataError(f"{_printable(file)}: {error}") from error


def _test_mask(labels: Tensor) -> Tensor:
    """Return the mask [n] of the test images: the first fifth of each label's."""
    mask = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique():
        places = (labels == label).nonzero()[:, 0]
        mask[places[: len(places) // TEST_FRACTION]] = True
    return mask


def _is_valid(text: str, kind: object) -> bool:
    try:
        msgspec.convert(text, kind)
    except msgspec.ValidationError:
        return False
    return True


def _printable(path: Path) -> str:
    """Return a path that is safe to print in any terminal."""
    text = str(path)
    return text if text.isprintable() else ascii(text)
