"""Test images made into photos as people take and send them, and read by the service's own code."""

import io
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from serving.imaging.decoding import PixelBudget, decode, read_header
from serving.imaging.preprocessing import preprocess

SEED = 0
SIDES = 280, 700  # pixels: between these an image is enlarged to
WHITE = 1.6  # how much longer than the garment a side of the sheet may be on which it lies
QUALITY = 90  # of the JPEG
BUDGET = 10_000_000  # pixels: more than any of these photos has
RESAMPLINGS = (
    Image.Resampling.NEAREST, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS,
)  # fmt: skip
HELD = {  # how the camera was held, by EXIF's Orientation: what undoes the turn that a viewer makes
    1: None,
    3: Image.Transpose.ROTATE_180,
    6: Image.Transpose.ROTATE_90,
    8: Image.Transpose.ROTATE_270,
}

Pixels = NDArray[np.uint8]


def photographed(pixels: Pixels, how: str) -> Pixels:
    """Return what a model is shown of photos of images [n, h, w, c]: enlarged, as JPEG, decoded and fitted again.

    how: "garment" lays each dark on a white sheet, off its centre; "photo" turns the camera.
    """
    return np.stack([_served(photo, how, pixels.shape[1:]) for photo in photos(pixels, how)])


def photos(pixels: Pixels, how: str) -> Iterator[bytes]:
    """Yield the photos of images [n, h, w, c], as the bytes of JPEG files."""
    random = np.random.default_rng(SEED)
    for image in pixels:
        side = int(random.integers(SIDES[0], SIDES[1] + 1))
        enlarged = Image.fromarray(image.squeeze()).resize((side, side), RESAMPLINGS[random.integers(len(RESAMPLINGS))])
        yield _on_white(enlarged, random) if how == "garment" else _turned(enlarged, random)


def _on_white(image: Image.Image, random: np.random.Generator) -> bytes:
    width, height = (int(side * random.uniform(1, WHITE)) for side in image.size)
    place = int(random.integers(0, width - image.width + 1)), int(random.integers(0, height - image.height + 1))
    sheet = Image.new("RGB", (width, height), "white")
    sheet.paste(ImageOps.invert(image.convert("L")).convert("RGB"), place)
    return _jpeg(sheet)


def _turned(image: Image.Image, random: np.random.Generator) -> bytes:
    orientation = int(random.choice(list(HELD)))
    turn = HELD[orientation]
    return _jpeg(image if turn is None else image.transpose(turn), orientation)


def _jpeg(image: Image.Image, orientation: int = 1) -> bytes:
    exif, file = Image.Exif(), io.BytesIO()
    exif[ExifTags.Base.Orientation] = orientation
    image.save(file, "JPEG", quality=QUALITY, exif=exif)
    return file.getvalue()


def _served(photo: bytes, how: str, shape: tuple[int, ...]) -> Pixels:
    height, width, channels = shape
    return preprocess(decode(read_header(photo, PixelBudget(BUDGET))), how, height, width, channels).pixels
