"""Photo shift: test images made into photos as people take and send them, and read by the service's own code."""

import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from PIL import ExifTags, Image, ImageOps

from training.datasets.pixels import Pixels
from training.datasets.served import as_served
from training.progress import track

SEED = 0
PHOTO_SIDES = 280, 700  # pixels: an image is enlarged to a random side between these
MAX_SHEET_RATIO = 1.6  # of a side of the white sheet to that of the garment that lies on it
JPEG_QUALITY = 90
RESAMPLINGS = (
    Image.Resampling.NEAREST, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS,
)  # fmt: skip
CAMERA_TURNS = {  # by EXIF's Orientation: the transpose that a viewer undoes
    1: None,
    3: Image.Transpose.ROTATE_180,
    6: Image.Transpose.ROTATE_90,
    8: Image.Transpose.ROTATE_270,
}

THREADS = 4  # Pillow frees the interpreter for two thirds of the time: more would wait for one another

Photo = Callable[[], bytes]  # makes the bytes of a JPEG file


def to_photos(pixels: Pixels, fit: str) -> Pixels:
    """Return images [n, h, w, c] as a model sees photos of them: enlarged, saved as JPEG, decoded and preprocessed.

    fit: "garment" lays each image, inverted, on a white sheet, off its centre; "photo" turns the camera.
    """

    def read(photo: Photo) -> Pixels:
        return as_served(photo(), fit, pixels.shape[1:])

    with ThreadPoolExecutor(THREADS) as threads:
        served = threads.map(read, photos(pixels, fit))
        return np.stack(list(track(f"Photos of {len(pixels):,} test images", served, len(pixels))))


def photos(pixels: Pixels, fit: str) -> Iterator[Photo]:
    """Yield a photo of each image [n, h, w, c]; all that is random is drawn here, so any thread may make it."""
    random = np.random.default_rng(SEED)
    for image in pixels:
        side = int(random.integers(PHOTO_SIDES[0], PHOTO_SIDES[1] + 1))
        resampling = RESAMPLINGS[random.integers(len(RESAMPLINGS))]
        enlarged = partial(Image.fromarray(image.squeeze()).resize, (side, side), resampling)
        yield _on_white(enlarged, side, random) if fit == "garment" else _turned(enlarged, random)


def _on_white(enlarged: Callable[[], Image.Image], side: int, random: np.random.Generator) -> Photo:
    width, height = (int(side * random.uniform(1, MAX_SHEET_RATIO)) for _ in range(2))
    place = int(random.integers(0, width - side + 1)), int(random.integers(0, height - side + 1))

    def photo() -> bytes:
        sheet = Image.new("L", (width, height), "white")
        sheet.paste(ImageOps.invert(enlarged().convert("L")), place)
        return _jpeg(sheet.convert("RGB"))

    return photo


def _turned(enlarged: Callable[[], Image.Image], random: np.random.Generator) -> Photo:
    orientation = int(random.choice(list(CAMERA_TURNS)))
    turn = CAMERA_TURNS[orientation]
    return lambda: _jpeg(enlarged() if turn is None else enlarged().transpose(turn), orientation)


def _jpeg(image: Image.Image, orientation: int = 1) -> bytes:
    exif, file = Image.Exif(), io.BytesIO()
    exif[ExifTags.Base.Orientation] = orientation
    image.save(file, "JPEG", quality=JPEG_QUALITY, exif=exif)
    return file.getvalue()
