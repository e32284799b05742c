"""Own images: a folder of pictures for each label, decoded and fitted by the very code that serves uploads."""

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

from serving.model.card import Label, Name
from serving.errors import Refusal
from serving.imaging.decoding import DecodedImage, PixelBudget, configure_pillow, decode, read_header
from serving.imaging.preprocessing import preprocess
from serving.settings import Settings
from training.datasets.formats import DataError
from training.datasets.images import DataSet, Images
from training.progress import CONSOLE

LEAST = 10  # pictures of a label, so that two are left to test on
TEST_PART = 5  # one picture of a label in so many is for the test
SIDES = (28, 32, 64)  # that an input may have: those of the known small data sets, and one for photos
SAMPLE = 500  # pictures that decide on size and colour; decoding all of many photos once more would take long
GREY_SHARE = 0.95  # of them: a few coloured scans don't make grey pictures colour ones
SERVICE = Settings()  # what a service refuses unless told otherwise is not learned from


@dataclass(frozen=True)
class Folder:
    """Own images: what a recipe takes in place of a published data set.

    name: of the model. files: label index and path of each. side: of the square that the pictures become.
    """

    name: str
    path: Path
    labels: tuple[str, ...]
    files: tuple[tuple[int, Path], ...]
    side: int
    channels: int
    licence: str = "not stated; that is for the owner of the images to say"

    @classmethod
    def open(cls, path: Path, name: str) -> Self:
        """List the pictures and look at a sample of them. Raises DataError when nothing can be learned from them."""
        configure_pillow()
        labels = _labels(path)
        files = [(index, file) for index, label in enumerate(labels) for file in _files(path / label)]
        _refuse_few(path, labels, [index for index, _ in files])
        files.sort(key=lambda labelled: _rank(labelled[1].relative_to(path)))
        tested = _first_of_each_label(torch.tensor([index for index, _ in files])).tolist()
        to_learn = [file for (_, file), held in zip(files, tested, strict=True) if not held]
        side, channels = _input_for(to_learn[-SAMPLE:])
        return cls(name, path, labels, tuple(files), side, channels)

    @property
    def title(self) -> str:
        """What no published data set is called."""
        return f"own images ({self.name})"

    def load(self, data_dir: Path | None = None, limit: int | None = None) -> DataSet:
        """Read the pictures, and set the same fifth of each label's aside for the test every time.

        What cannot be read is left out and listed, and so are copies of a file, which would be in the test as well.
        data_dir, where published data is, says nothing here. Raises DataError when too little is left.
        """
        labels, pixels, skipped = [], [], []
        known: dict[bytes, Path] = {}
        for label, file in track(self.files, "reading", console=CONSOLE, transient=True):
            try:
                content = _content(file)
                if (first := known.setdefault(hashlib.sha256(content).digest(), file)) != file:
                    raise DataError(f"{_shown(file)}: a copy of {_shown(first)}")
                picture = _decoded(content, file)
                pixels.append(preprocess(picture, "photo", self.side, self.side, self.channels).pixels)
                labels.append(label)
            except DataError as reason:
                skipped.append(str(reason))
        _refuse_few(self.path, self.labels, labels, skipped)
        images = Images(torch.from_numpy(np.stack(pixels)), torch.tensor(labels))
        tested = _first_of_each_label(images.labels)
        train, test = (images.take(which).take(slice(limit)) for which in (~tested, tested))
        return DataSet(train, test, limit, tuple(skipped))


def can_name_a_model(name: str) -> bool:
    """Whether a model folder may bear this name."""
    return _is_valid(name, Name)


def _labels(path: Path) -> tuple[str, ...]:
    """Return the names of the folders in a folder. Raises DataError when they are not labels."""
    layout = "it is to hold a folder of pictures for each label, such as roses/1.jpg and tulips/1.jpg"
    if not path.is_dir():
        raise DataError(f"{_shown(path)}: no such folder; {layout}")
    labels = sorted(folder.name for folder in path.iterdir() if folder.is_dir() and not folder.name.startswith("."))
    if len(labels) < 2:
        raise DataError(f"{_shown(path)}: {len(labels)} folders in it, at least 2 are needed; {layout}")
    for label in labels:
        if not (_is_valid(label, Label) and label.isprintable()):
            raise DataError(
                f"{_shown(path / label)}: its name cannot be a label; rename it, without colons, line breaks and what "
                "else does not show"
            )
    return tuple(labels)


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder and in those below it, but for hidden ones."""
    for file in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
        if file.is_file() and not hidden:
            yield file


def _rank(path: Path) -> bytes:
    """Return what orders pictures as if by chance, yet always alike; a new picture moves few of the others."""
    return hashlib.sha256(bytes(path)).digest()


def _refuse_few(path: Path, labels: Sequence[str], found: Sequence[int], skipped: Sequence[str] = ()) -> None:
    """Raise DataError when a label has too few pictures; found: the label of each."""
    counts = Counter(found)
    few = [f"{counts[index]} of {label!r}" for index, label in enumerate(labels) if counts[index] < LEAST]
    if few:
        unread = f", not counting {len(skipped)} that cannot be read, such as {skipped[0]}" if skipped else ""
        raise DataError(
            f"{_shown(path)}: too few pictures: {', '.join(few)}{unread}; each label needs at least {LEAST}: add some, "
            "or move its folder away"
        )


def _input_for(sample: Sequence[Path]) -> tuple[int, int]:
    """Return the side and the channels of the input that suits these pictures.

    The side is the largest that at least half of them fill: less would lose what they show, more adds nothing but work.
    """
    sides, greys, skipped = [], [], []
    for file in sample:
        try:
            picture = _decoded(_content(file), file)
        except DataError as reason:
            skipped.append(str(reason))
            continue
        sides.append(min(picture.image.size))
        greys.append(picture.grey)
    if not sides:
        raise DataError(f"none of {len(skipped)} pictures looked at can be read; the first: {skipped[0]}")
    side = max((side for side in SIDES if side <= median(sides)), default=SIDES[0])
    return side, 1 if sum(greys) >= GREY_SHARE * len(greys) else 3


def _content(file: Path) -> bytes:
    """Return a file's bytes. Raises DataError when they are more than the service takes."""
    try:
        size = file.stat().st_size
        if size > SERVICE.max_body:
            raise DataError(
                f"{_shown(file)}: The {size:,} bytes are more than the {SERVICE.max_body:,} that are read. Make it "
                "smaller."
            )
        return file.read_bytes()
    except OSError as error:
        raise DataError(f"{_shown(file)}: {error.strerror}") from error


def _decoded(content: bytes, file: Path) -> DecodedImage:
    """Decode a file as an upload of it would be. Raises DataError when the service would refuse it."""
    try:
        return decode(read_header(content, PixelBudget(SERVICE.max_pixels)))
    except Refusal as error:
        raise DataError(f"{_shown(file)}: {error}") from error


def _first_of_each_label(labels: Tensor) -> Tensor:
    """Return the mask [n] of the first fifth of the pictures of each label."""
    mask = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique():
        places = (labels == label).nonzero()[:, 0]
        mask[places[: len(places) // TEST_PART]] = True
    return mask


def _is_valid(text: str, kind: object) -> bool:
    try:
        msgspec.convert(text, kind)
    except msgspec.ValidationError:
        return False
    return True


def _shown(path: Path) -> str:
    """Return a path as it may go to any terminal, whatever the file is called."""
    text = str(path)
    return text if text.isprintable() else ascii(text)
