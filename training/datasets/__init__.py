"""The data sets: where they are looked for, how they are fetched, and their images in memory."""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import pooch
import requests
import torch
from torch import Tensor

from training.datasets.formats import Bytes, DataError, check_labels, read_cifar, read_idx
from training.progress import DownloadBar

CACHE = Path("~/.cache/thimble")
FASHION_CLASSES = 10
DEBIAN = Path("/usr/share/datasets")  # of the package dataset-fashion-mnist
FETCH_TIMEOUT = 30  # seconds of silence after which a server counts as gone
SPLIT_SEED = 0  # of the held-out images: the same ones whatever the seed of a training

Part = tuple[Bytes, Bytes]
Find = Callable[..., Path]


@dataclass(frozen=True)
class Images:
    """pixels: uint8 [n, height, width, channels]; labels: int64 [n]."""

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, which: Tensor | slice) -> Self:
        """Return the images at these positions."""
        return type(self)(self.pixels[which], self.labels[which])

    def sha256(self) -> str:
        """Return the digest of all pixels followed by all labels, each label a byte."""
        digest = hashlib.sha256(self.pixels.numpy().tobytes())
        digest.update(self.labels.to(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def split(self, held: int) -> tuple[Self, Self]:
        """Return the images to train on and that many held out of training, chosen with a fixed seed."""
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(SPLIT_SEED))
        return self.take(order[held:]), self.take(order[:held])


@dataclass(frozen=True)
class DataSet:
    """A data set in memory: what is to be learned from, and what is looked at once at the end.

    limit: how many images of each a rehearsal was held to. skipped: what could not be read, and why.
    """

    train: Images
    test: Images
    limit: int | None = None
    skipped: tuple[str, ...] = ()


class Source(Protocol):
    """Where a recipe's data comes from; licence: of what is trained on it, and of its images."""

    @property
    def title(self) -> str: ...
    @property
    def licence(self) -> str: ...
    @property
    def labels(self) -> tuple[str, ...]: ...
    def load(self, data_dir: Path | None = None, limit: int | None = None) -> DataSet: ...


@dataclass(frozen=True)
class Published:
    """What a data set is and where it lives: its homes, and the MD5 published for each of their files."""

    title: str
    licence: str
    labels: tuple[str, ...]
    homes: tuple[str, ...]
    md5: Mapping[str, str]
    read: Callable[[Find], tuple[Part, Part]]

    def load(self, data_dir: Path | None = None, limit: int | None = None, fetch: bool = True) -> DataSet:
        """Find or, if need be, fetch the files and read them; limit keeps that many images of each part.

        Raises DataError when they are not to be had.
        """
        if data_dir is not None and not data_dir.is_dir():
            raise DataError(f"{data_dir}: no such folder; it is to hold the folder or the files of {self.title}")

        def find(*candidates: str) -> Path:
            places = [place / candidate for place in _places(data_dir) for candidate in candidates]
            found = next((path for path in places if path.exists()), None)
            if not (found or fetch):
                raise DataError(f"{candidates[-1]} is in none of the places where data is looked for")
            return found or self.fetch(candidates[-1])

        train, test = self.read(find)
        return DataSet(_images(train).take(slice(limit)), _images(test).take(slice(limit)), limit)

    def fetch(self, file: str) -> Path:
        """Fetch a file into the cache from the first home that has it, against its pinned hash. Raises DataError."""
        target = CACHE.expanduser() / file
        failures = []
        for home in self.homes:
            try:
                return _download(home + target.name, self.md5[target.name], target)
            except (requests.RequestException, OSError, ValueError) as error:
                failures.append(f"  {home}: {_first_line(error)}")
        raise DataError(
            f"{self.title}: {file} could not be fetched:\n" + "\n".join(failures) + f"\nGet it elsewhere and put it at "
            f"{target}, or name the folder that holds {file} with --data-dir or THIMBLE_DATA."
        )


def _images(part: Part) -> Images:
    pixels, labels = part
    return Images(torch.from_numpy(pixels.copy()), torch.from_numpy(labels.astype(np.int64)))


def _places(data_dir: Path | None) -> Iterator[Path]:
    if data_dir is not None:
        yield data_dir
    if named := os.environ.get("THIMBLE_DATA"):
        yield Path(named).expanduser()
    yield DEBIAN
    yield CACHE.expanduser()


def _download(url: str, md5: str, target: Path) -> Path:
    pooch.get_logger().setLevel("WARNING")  # the bar says the rest
    with DownloadBar(target.name) as bar:
        # Identity, because a server that gzips a .gz once more would break the hash.
        downloader = pooch.HTTPDownloader(
            progressbar=bar, timeout=FETCH_TIMEOUT, headers={"Accept-Encoding": "identity"}
        )
        return Path(pooch.retrieve(url, f"md5:{md5}", target.name, target.parent, downloader=downloader))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _read_fashion_mnist(find: Find) -> tuple[Part, Part]:
    return _read_fashion_part(find, "train"), _read_fashion_part(find, "t10k")


def _read_fashion_part(find: Find, name: str) -> Part:
    images = find(f"fashion-mnist/{name}-images-idx3-ubyte.gz")
    pixels = read_idx(images, 3)
    if pixels.shape[1:] != (28, 28):
        raise DataError(f"{images}: images of {pixels.shape[1:]} pixels, expected (28, 28): another data set")
    file = find(f"fashion-mnist/{name}-labels-idx1-ubyte.gz")
    labels = read_idx(file, 1)
    check_labels(file, labels, FASHION_CLASSES)
    if len(labels) != len(pixels):
        raise DataError(
            f"{file}: {len(labels):,} labels, but {images} has {len(pixels):,} images; fetch both files again"
        )
    return pixels[..., None], labels


def _read_cifar_10(find: Find) -> tuple[Part, Part]:
    names = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
    *train, test = read_cifar(find("cifar-10-batches-bin", "cifar-10-binary.tar.gz"), names)
    pixels, labels = zip(*train, strict=True)
    return (np.concatenate(pixels), np.concatenate(labels)), test


FASHION_MNIST = Published(
    title="Fashion-MNIST",
    licence="MIT; the images: MIT",
    labels=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    homes=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ),
    md5={
        "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    },
    read=_read_fashion_mnist,
)

CIFAR_10 = Published(
    title="CIFAR-10",
    licence="MIT; the images: none stated; cite Krizhevsky 2009",
    labels=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    homes=("https://www.cs.toronto.edu/~kriz/",),
    md5={"cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530"},
    read=_read_cifar_10,
)

SOURCES = {source.title: source for source in (FASHION_MNIST, CIFAR_10)}
