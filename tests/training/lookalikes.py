"""Small data sets in the file layouts of the real ones, with classes that a network learns in seconds."""

import gzip
import io
import struct
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

FASHION_FILES = tuple(
    f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
)
CIFAR_FILES = (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin")


def learnable(count: int, height: int, width: int, channels: int, seed: int) -> tuple[Bytes, Bytes]:
    """Return noisy images [count, height, width, channels] with a bright block whose place is the label, and labels."""
    labels = (np.arange(count) % 10).astype(np.uint8)
    pixels = np.random.default_rng(seed).integers(0, 80, (count, height, width, channels), dtype=np.uint8)
    block = height // 4
    for image, label in zip(pixels, labels, strict=True):
        row, column = divmod(int(label), 4)
        image[row * block : (row + 1) * block, column * block : (column + 1) * block] += 150
    return pixels, labels


def idx(values: Bytes) -> bytes:
    """Return a gzipped IDX file of unsigned bytes."""
    return gzip.compress(struct.pack(f">{1 + values.ndim}I", 0x0800 + values.ndim, *values.shape) + values.tobytes())


def fashion_mnist(train: int, test: int) -> dict[str, bytes]:
    """Return the four files of a lookalike by name."""
    content = []
    for seed, count in enumerate((train, test)):
        pixels, labels = learnable(count, 28, 28, 1, seed)
        content += [idx(pixels[..., 0]), idx(labels)]
    return dict(zip(FASHION_FILES, content, strict=True))


def records(pixels: Bytes, labels: Bytes) -> bytes:
    """Return CIFAR-10's records: a label, then the red, the green and the blue plane."""
    planes = pixels.transpose(0, 3, 1, 2).reshape(len(pixels), -1)
    return np.concatenate([labels[:, None], planes], axis=1).tobytes()


def cifar_10(batch: int) -> dict[str, bytes]:
    """Return the six batches of a lookalike by name."""
    return {name: records(*learnable(batch, 32, 32, 3, seed)) for seed, name in enumerate(CIFAR_FILES)}


def put(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write files into a folder, which is made; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def packed(path: Path, files: Mapping[str, bytes], order: Sequence[str] | None = None) -> Path:
    """Write files into a tar.gz, in a folder as the original has it; returns its path."""
    with tarfile.open(path, "w:gz") as archive:
        for name in order or files:
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(files[name])
            archive.addfile(member, io.BytesIO(files[name]))
    return path
