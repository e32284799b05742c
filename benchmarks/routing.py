"""python -m benchmarks.routing: which share of enlarged test images reaches a model of their own data set.

An image like a model's input, in its size and in being grey or in colour, goes to that model; one that was enlarged has
to be recognized by what it shows. The first test images of both data sets are enlarged, pixel by pixel (nearest) or
smoothly (bicubic), and saved as JPEG: as they are, in grey, and garments inverted on white too.
"""

import argparse
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageOps
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.photos import open_models, share_routed
from training.datasets.builtin import CIFAR_10, FASHION_MNIST
from training.datasets.formats import DataError

IMAGES = 200  # of each data set
SIDES = 64, 224, 400
RESAMPLINGS = Image.Resampling.NEAREST, Image.Resampling.BICUBIC
QUALITY = 92

Change = Callable[[Image.Image], Image.Image]


def as_it_is(image: Image.Image) -> Image.Image:
    """Return the image."""
    return image


def grey(image: Image.Image) -> Image.Image:
    """Return the image in grey."""
    return image.convert("L")


def on_white(image: Image.Image) -> Image.Image:
    """Return the image inverted, in colour mode."""
    return ImageOps.invert(image).convert("RGB")


KINDS = (FASHION_MNIST, (as_it_is, on_white)), (CIFAR_10, (as_it_is, grey))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the shares and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.routing", description="Measure the router.")
    parser.add_argument("--models-dir", type=Path, default=Path("models"), help="default: models")
    parser.add_argument("--data-dir", type=Path, help="where to look for the data first")
    parser.add_argument("--images", type=int, default=IMAGES, help=f"of each data set; default: {IMAGES}")
    options = parser.parse_args(arguments)
    try:
        _measure(options)
    except DataError as error:
        parser.exit(1, f"benchmarks.routing: {error}\n")


def _measure(options: argparse.Namespace) -> None:
    """Print the table. Raises DataError where a data set is not there."""
    repository, predictor = open_models(options.models_dir)
    table = Table("Images", "", *(f"{side} {kind.name.lower()}" for side in SIDES for kind in RESAMPLINGS), box=None)
    for source, changes in KINDS:
        pixels = source.load(options.data_dir, options.images).test.pixels
        for change in changes:
            shares = [
                f"{share_routed(repository, predictor, source.title, enlarged(pixels, change, side, resampling)):.3f}"
                for side in SIDES
                for resampling in RESAMPLINGS
            ]
            table.add_row(source.title, change.__name__.replace("_", " "), *shares)
    Console(width=130).print(table)


def enlarged(pixels: Tensor, change: Change, side: int, resampling: Image.Resampling) -> list[bytes]:
    """Return JPEGs of images [n, height, width, channels], changed and enlarged to side by side pixels."""
    files = []
    for image in pixels.numpy():
        file = BytesIO()
        change(Image.fromarray(image.squeeze())).resize((side, side), resampling).save(file, "JPEG", quality=QUALITY)
        files.append(file.getvalue())
    return files


if __name__ == "__main__":
    main()
