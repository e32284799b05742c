"""A file of own images: read and decoded as the service reads and decodes an upload, or refused as it refuses one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISREG
from typing import NamedTuple

from serving.errors import Refusal
from serving.imaging.decoding import DecodedImage, PixelBudget, decode, read_header
from serving.imaging.scaling import side_needed
from serving.settings import Settings
from training.datasets.formats import DataError

FIT = "photo"  # how own images become inputs
STDERR = 2  # the file descriptor
SERVICE = Settings()  # training refuses what a service with default settings refuses
JOINERS = str.maketrans("", "", "\u200c\u200d")  # within words of Persian and of Indian scripts, and within emoji


class ReadImage(NamedTuple):
    """A decoded image; size: width and height in the file, before a large photo is scaled down."""

    decoded: DecodedImage
    size: tuple[int, int]


def read_content(file: Path) -> bytes:
    """Return a file's bytes. Raises DataError for what is not a file, and for more bytes than the service takes."""
    try:
        status = file.stat()
        if not S_ISREG(status.st_mode):  # a pipe would be waited for, and a device may never end
            raise DataError(f"{printable(file)}: not a file; name an image's file")
        size = status.st_size
        if size > SERVICE.max_body:
            raise DataError(
                f"{printable(file)}: The file has {size:,} bytes; at most {SERVICE.max_body:,} are read. Make it "
                "smaller."
            )
        return file.read_bytes()
    except OSError as error:
        raise DataError(f"{printable(file)}: {error.strerror}") from error


def read_image(content: bytes, file: Path, side: int) -> ReadImage:
    """Decode a file as the service decodes an upload for an input of this side, large photos scaled down.

    Raises DataError when the service would refuse it.
    """
    try:
        with _silent_libraries():
            header = read_header(content, PixelBudget(SERVICE.max_pixels))
            size = header.image.size
            return ReadImage(decode(header, side_needed(side, side)), size)
    except Refusal as error:
        raise DataError(f"{printable(file)}: {error}") from error


@contextmanager
def _silent_libraries() -> Iterator[None]:
    """Discard what libraries print: libtiff has a line for each damaged row, of which a small file has a million."""
    kept, nowhere = os.dup(STDERR), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, STDERR)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(kept, STDERR)
        os.close(kept)


def printable(path: Path | str) -> str:
    """Return a path that is safe to print in any terminal."""
    text = str(path)
    return text if text.translate(JOINERS).isprintable() else ascii(text)
