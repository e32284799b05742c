"""The file formats of the data sets: read bytes into arrays, and refuse anything else with the reason."""

import gzip
import struct
import tarfile
import zlib
from collections.abc import Sequence
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

CIFAR_SIDE = 32
CIFAR_CLASSES = 10
CIFAR_RECORD = 1 + 3 * CIFAR_SIDE * CIFAR_SIDE
IDX_MAGIC = 0x0800  # two zero bytes, type code 8 (unsigned byte); the last byte is the number of dimensions


class DataError(Exception):
    """A data set is missing or not valid; the message names the file and says what to do."""


def read_idx(path: Path, dimensions: int) -> Bytes:
    """Read a gzipped IDX file of unsigned bytes with so many dimensions.

    The layout is the MNIST one: big-endian magic number and sizes, then row-major values.
    Raises DataError when the file is truncated, foreign or of another shape.
    """
    header = 4 * (1 + dimensions)
    try:
        with gzip.open(path) as file:
            magic, *shape = struct.unpack(f">{1 + dimensions}I", file.read(header))
            if magic != IDX_MAGIC + dimensions:
                raise DataError(
                    f"{path}: magic number {magic:#010x}, expected {IDX_MAGIC + dimensions:#010x} "
                    f"(unsigned bytes, {dimensions} dimensions); put the right file there"
                )
            values = file.read()
    except (OSError, EOFError, zlib.error, struct.error) as error:
        raise _unreadable(path, "gzipped IDX file", error) from error
    if len(values) != prod(shape):
        raise DataError(
            f"{path}: its header says {prod(shape):,} bytes of values, but it holds {len(values):,}; delete it, "
            "and it is downloaded again"
        )
    return np.frombuffer(values, np.uint8).reshape(shape)


def check_labels(where: str | Path, labels: Bytes, classes: int) -> None:
    """Raise DataError when there are no labels, or when a label is not below the number of classes."""
    if not len(labels) or labels.max() >= classes:
        found = f"label {labels.max()}" if len(labels) else "no labels"
        raise DataError(
            f"{where}: {found}, expected 0 to {classes - 1}; the file is damaged or foreign: delete it, "
            "and it is downloaded again"
        )


def read_cifar(place: Path, names: Sequence[str]) -> list[tuple[Bytes, Bytes]]:
    """Read binary batches of CIFAR-10 from their folder or from the tar.gz that holds it.

    Returns images [n, 32, 32, 3] and labels [n] for each batch. Raises DataError when a batch is missing or does not
    consist of whole records.
    """
    return [_cifar_batch(f"{place}/{name}", content) for name, content in _cifar_contents(place, names)]


def _cifar_contents(place: Path, names: Sequence[str]) -> list[tuple[str, bytes]]:
    if place.is_dir():
        return [(name, _read_file(place / name)) for name in names]
    try:
        # Members are read in the archive's own order: a gzip stream cannot be rewound cheaply.
        with tarfile.open(place, "r:gz") as archive:
            members = [member for member in archive if Path(member.name).name in names and member.isfile()]
            found = {Path(member.name).name: archive.extractfile(member).read() for member in members}  # type: ignore[union-attr]  # a file, see isfile()
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise _unreadable(place, "tar.gz archive", error) from error
    missing = [name for name in names if name not in found]
    if missing:
        raise DataError(f"{place}: {', '.join(missing)} not found in it; take CIFAR-10's binary version")
    return [(name, found[name]) for name in names]


def _unreadable(path: Path, kind: str, error: Exception) -> DataError:
    """Return the refusal of a file: the system's reason, or that the file is damaged and can be downloaded again."""
    if isinstance(error, OSError) and error.strerror:
        return DataError(f"{path}: cannot be read ({error.strerror}); mend it, or name another folder with --data-dir")
    return DataError(f"{path}: not a complete {kind} ({error}); delete it, and it is downloaded again")


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); put all six batches into the folder") from error


def _cifar_batch(where: str, content: bytes) -> tuple[Bytes, Bytes]:
    if not content or len(content) % CIFAR_RECORD:
        raise DataError(
            f"{where}: {len(content):,} bytes are not whole records of {CIFAR_RECORD:,} bytes; "
            "the file is truncated or foreign: delete it, and it is downloaded again"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, CIFAR_RECORD)
    check_labels(where, records[:, 0], CIFAR_CLASSES)
    planes = records[:, 1:].reshape(-1, 3, CIFAR_SIDE, CIFAR_SIDE)
    return planes.transpose(0, 2, 3, 1), records[:, 0]
