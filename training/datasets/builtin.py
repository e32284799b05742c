"""The built-in data sets: their labels, their homes on the internet, and how to read their files."""

import numpy as np

from training.datasets.download import Arrays, DownloadedDataset, Find
from training.datasets.formats import DataError, check_labels, read_cifar, read_idx

FASHION_CLASSES = 10


def _read_fashion_mnist(find: Find) -> tuple[Arrays, Arrays]:
    return _read_fashion_arrays(find, "train"), _read_fashion_arrays(find, "t10k")


def _read_fashion_arrays(find: Find, name: str) -> Arrays:
    images = find(*_fashion_file(f"{name}-images-idx3-ubyte.gz"))
    pixels = read_idx(images, 3)
    if pixels.shape[1:] != (28, 28):
        raise DataError(
            f"{images}: images of {pixels.shape[1:]} pixels, expected (28, 28); put Fashion-MNIST's own file there"
        )
    file = find(*_fashion_file(f"{name}-labels-idx1-ubyte.gz"))
    labels = read_idx(file, 1)
    check_labels(file, labels, FASHION_CLASSES)
    if len(labels) != len(pixels):
        raise DataError(
            f"{file}: {len(labels):,} labels, but {images} has {len(pixels):,} images; delete both, to download "
            "them again"
        )
    return pixels[..., None], labels


def _fashion_file(name: str) -> tuple[str, str]:
    """Return the places of a file: by itself, or in the folder that it is downloaded into."""
    return name, f"fashion-mnist/{name}"


def _read_cifar_10(find: Find) -> tuple[Arrays, Arrays]:
    names = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
    *train, test = read_cifar(find("cifar-10-batches-bin", "cifar-10-binary.tar.gz"), names)
    pixels, labels = zip(*train, strict=True)
    return (np.concatenate(pixels), np.concatenate(labels)), test


FASHION_MNIST = DownloadedDataset(
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

CIFAR_10 = DownloadedDataset(
    title="CIFAR-10",
    licence="MIT; the images: none stated; cite Krizhevsky 2009",
    labels=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    homes=("https://www.cs.toronto.edu/~kriz/",),
    md5={"cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530"},
    read=_read_cifar_10,
)
