"""Out-of-distribution sets: images of other things, to measure how well novelty tells them from test images.

Nothing is fitted on them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image
from sklearn.datasets import load_digits

from training.datasets.builtin import CIFAR_10, FASHION_MNIST
from training.datasets.download import DownloadedDataset
from training.datasets.formats import DataError
from training.datasets.pixels import Pixels
from training.sample_sizes import FULL_SIZE

SEED = 0
MIN_CROP_SIDE = 32  # pixels
MAX_DIGIT_LEVEL = 16  # of the grey levels of scikit-learn's digits

# The photos and textures that scikit-image ships; it would download the others.
PHOTOS = (
    "astronaut.png", "brick.png", "camera.png", "chelsea.png", "coffee.png", "coins.png", "grass.png", "gravel.png",
    "hubble_deep_field.jpg", "ihc.png", "moon.png", "motorcycle_left.png", "page.png", "retina.jpg", "rocket.jpg",
    "text.png",
)  # fmt: skip


@dataclass(frozen=True)
class KnownImages:
    """In-distribution images: pixels [n, height, width, channels] of test images; fit: how an upload becomes one."""

    dataset: str
    pixels: Pixels
    fit: str


def ood_sets(
    known: KnownImages, data_dir: Path | None, warn: Callable[[str], None], size: int = FULL_SIZE.ood_set
) -> Iterator[tuple[str, Pixels]]:
    """Yield name and pixels of sets of other images, each of at most this size, in the shape of the known ones.

    warn: gets a message for a data set that is not available.
    """
    height, width, channels = known.pixels.shape[1:]
    random = np.random.default_rng(SEED)
    other = CIFAR_10 if channels == 1 else FASHION_MNIST
    if other.title not in known.dataset:  # which may be made of several
        try:
            pixels = _resized(_test_pixels(other, data_dir, size), known)
            yield f"{other.title} in {'grey' if channels == 1 else 'colour'}", pixels
        except DataError as error:
            warn(f"novelty is not measured against {other.title}: {error}")
    yield "noise", random.integers(0, 256, (size, height, width, channels), np.uint8)
    yield "digits", _resized((load_digits().images[:size] * 255 / MAX_DIGIT_LEVEL).astype(np.uint8), known)
    if known.fit == "garment":
        yield "inverted garments", 255 - known.pixels[:size]
    else:
        yield "photo crops", _resized(_crops(random, size), known)


def _test_pixels(source: DownloadedDataset, data_dir: Path | None, size: int) -> Pixels:
    pixels: Pixels = source.load(data_dir, limit=size, fetch=False).test.pixels.numpy()
    return pixels


def _crops(random: np.random.Generator, size: int) -> Iterator[Pixels]:
    """Yield square parts of photos and textures, from 32 pixels to half of the photo's shorter side."""
    folder = Path(skimage.data.__file__).parent
    photos = [Image.open(folder / name).convert("RGB") for name in PHOTOS]
    for number in range(size):
        photo = photos[number % len(photos)]
        side = int(random.integers(MIN_CROP_SIDE, min(photo.size) // 2 + 1))
        left, top = (int(random.integers(0, length - side + 1)) for length in photo.size)
        yield np.asarray(photo.crop((left, top, left + side, top + side)))


def _resized(images: Iterator[Pixels] | Pixels, known: KnownImages) -> Pixels:
    """Resize images [height, width] or [height, width, channels] to the shape and the colours of the known ones."""
    height, width, channels = known.pixels.shape[1:]
    mode = "L" if channels == 1 else "RGB"
    resized = [
        np.asarray(Image.fromarray(image.squeeze()).convert(mode).resize((width, height), Image.Resampling.BICUBIC))
        for image in images
    ]
    return np.stack(resized).reshape(-1, height, width, channels)
