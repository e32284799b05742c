"""Images of other things, to measure how well a model tells that it does not know them. Nothing is fitted on them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import skimage.data
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

from training.datasets import CIFAR_10, FASHION_MNIST
from training.datasets.formats import DataError
from training.datasets.published import Published

SEED = 0
COUNT = 2_000  # of each set; there are no more than 1,797 digits
SMALLEST_CROP = 32  # pixels a side
BRIGHTEST_DIGIT = 16  # of scikit-learn's levels

# Of scikit-image's, those that it ships; the others it would fetch.
PHOTOS = (
    "astronaut.png", "brick.png", "camera.png", "chelsea.png", "coffee.png", "coins.png", "grass.png", "gravel.png",
    "hubble_deep_field.jpg", "ihc.png", "moon.png", "motorcycle_left.png", "page.png", "retina.jpg", "rocket.jpg",
    "text.png",
)  # fmt: skip

Pixels = NDArray[np.uint8]
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Known:
    """What a model does know: the pixels [n, height, width, channels] of test images, and how uploads are fitted."""

    dataset: str
    pixels: Pixels
    fit: str


def foreign_sets(known: Known, data_dir: Path | None, tell: Tell) -> Iterator[tuple[str, Pixels]]:
    """Yield sets of images that are no such test images, in their shape; tells what is not at hand."""
    height, width, channels = known.pixels.shape[1:]
    random = np.random.default_rng(SEED)
    other = CIFAR_10 if channels == 1 else FASHION_MNIST
    if other.title != known.dataset:
        try:
            yield f"{other.title} in {'grey' if channels == 1 else 'colour'}", _resized(_of(other, data_dir), known)
        except DataError as error:
            tell(f"novelty is not measured against {other.title}: {error}")
    yield "noise", random.integers(0, 256, (COUNT, height, width, channels), np.uint8)
    yield "digits", _resized((load_digits().images * 255 / BRIGHTEST_DIGIT).astype(np.uint8)[:COUNT], known)
    if known.fit == "garment":
        yield "inverted garments", 255 - known.pixels[:COUNT]
    else:
        yield "photo crops", _resized(_crops(random), known)


def _of(source: Published, data_dir: Path | None) -> Pixels:
    pixels: Pixels = source.load(data_dir, fetch=False).test.pixels[:COUNT].numpy()
    return pixels


def _crops(random: np.random.Generator) -> Iterator[Pixels]:
    """Yield square parts of photos and textures, from 32 pixels to half of the photo's shorter side."""
    folder = Path(skimage.data.__file__).parent
    photos = [Image.open(folder / name).convert("RGB") for name in PHOTOS]
    for number in range(COUNT):
        photo = photos[number % len(photos)]
        side = int(random.integers(SMALLEST_CROP, min(photo.size) // 2 + 1))
        left, top = (int(random.integers(0, length - side + 1)) for length in photo.size)
        yield np.asarray(photo.crop((left, top, left + side, top + side)))


def _resized(images: Iterator[Pixels] | Pixels, known: Known) -> Pixels:
    """Return images [height, width] or [height, width, channels] in the shape and the colours of what is known."""
    height, width, channels = known.pixels.shape[1:]
    mode = "L" if channels == 1 else "RGB"
    fitted = [
        np.asarray(Image.fromarray(image.squeeze()).convert(mode).resize((width, height), Image.Resampling.BICUBIC))
        for image in images
    ]
    return np.stack(fitted).reshape(-1, height, width, channels)
