"""python -m benchmarks.routing: how many enlarged test images reach a model of their own data set, and at what cost.

An image like a model's input, in its size and in being grey or in colour, goes to that model; one that was enlarged has
to be recognized by what it shows. The first test images of both data sets are enlarged, pixel by pixel (nearest) or
smoothly (bicubic), and saved as JPEG: as they are, in grey, and garments inverted on white too.

The second table has medians of one photo's time on one core, from upload to answer, in milliseconds, where the request
names the model and where the router finds it (pin the process: taskset -c 0). The photos are those of DIR/things, see
benchmarks.photos, or otherwise test images, enlarged to each size and with grain.
"""

import argparse
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
from PIL import Image, ImageOps
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.photos import MAX_PIXELS, TIMEOUT, find_photos, open_models, share_routed
from serving.concurrency import SerialExecutor
from serving.errors import Refusal
from serving.inference.options import PredictOptions
from serving.inference.predictor import Predictor
from serving.repository.repository import Repository
from training.datasets.builtin import CIFAR_10, FASHION_MNIST
from training.datasets.formats import DataError

IMAGES = 200  # of each data set
SIDES = 64, 224, 400
RESAMPLINGS = Image.Resampling.NEAREST, Image.Resampling.BICUBIC
QUALITY = 92
TIMED_IMAGES = 20
TIMED_SIZES = (400, 300), (800, 600), (1_600, 1_200), (4_032, 3_024)  # the last is a phone's
GRAIN = 3.0  # levels of 255: the standard deviation
REPEATS = 5

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
    parser.add_argument("--photos", type=Path, metavar="DIR", help="real photos, of which the time is measured")
    options = parser.parse_args(arguments)
    try:
        _measure(options)
    except DataError as error:
        parser.exit(1, f"benchmarks.routing: {error}\n")


def _measure(options: argparse.Namespace) -> None:
    """Print the tables. Raises DataError where a data set or the photos are not there."""
    images = _timed_images(options)
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
    Console(width=130).print(
        _times(Predictor(Repository(options.models_dir), MAX_PIXELS, SerialExecutor(TIMEOUT)), images)
    )


def _times(predictor: Predictor, images: Sequence[Image.Image]) -> Table:
    """Return a table of the time that images of several sizes take with their model named and without."""
    table = Table("Pixels", "Model named, ms", "Routed, ms", "Router's share", box=None)
    for width, height in TIMED_SIZES:
        named, routed = [], []
        for image in images:
            upload = phone_photo(image, width, height)
            seconds, model = _timed(predictor, upload, PredictOptions())
            routed.append(seconds)
            named.append(_timed(predictor, upload, PredictOptions(model))[0])
        before, after = 1_000 * median(named), 1_000 * median(routed)
        table.add_row(f"{width} x {height}", f"{before:.1f}", f"{after:.1f}", f"{1 - before / after:.0%}")
    return table


def _timed_images(options: argparse.Namespace) -> list[Image.Image]:
    """Return some photos of things or, where none are given, test images of CIFAR-10."""
    if not options.photos:
        return [Image.fromarray(pixels) for pixels in CIFAR_10.load(options.data_dir, TIMED_IMAGES).test.pixels.numpy()]
    photos = [photo for photo in find_photos(options.photos / "things") if photo.right]
    if not photos:
        raise DataError(f"{options.photos}: no photos there; put them into things/LABEL/")
    chosen = photos[:: -(-len(photos) // TIMED_IMAGES)]
    return [Image.open(BytesIO(photo.read())).convert("RGB") for photo in chosen]


def phone_photo(image: Image.Image, width: int, height: int) -> bytes:
    """Return a JPEG of an image enlarged to this size, with grain, without which it would be decoded sooner."""
    noise = np.random.default_rng(0).normal(0, GRAIN, (height, width, 1))
    grainy = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC)) + noise
    return _jpeg(Image.fromarray(grainy.clip(0, 255).astype(np.uint8)))


def _jpeg(image: Image.Image) -> bytes:
    file = BytesIO()
    image.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def _timed(predictor: Predictor, upload: bytes, options: PredictOptions) -> tuple[float, str]:
    """Return the least of a few times for an upload, in seconds, and the model that answered."""
    seconds = []
    for _ in range(REPEATS):
        start = perf_counter()
        (item,) = predictor.predict([upload], options).items
        seconds.append(perf_counter() - start)
    if isinstance(item, Refusal):
        raise item
    return min(seconds), item.model


def enlarged(pixels: Tensor, change: Change, side: int, resampling: Image.Resampling) -> list[bytes]:
    """Return JPEGs of images [n, height, width, channels], changed and enlarged to side by side pixels."""
    images = (change(Image.fromarray(image.squeeze())) for image in pixels.numpy())
    return [_jpeg(image.resize((side, side), resampling)) for image in images]


if __name__ == "__main__":
    main()
