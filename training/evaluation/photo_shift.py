"""Photo shift: test images made into photos as people take and send them, and read by the service's own code."""

import io
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from serving.imaging.decoding import PixelBudget, decode, read_header
from serving.imaging.preprocessing import preprocess
from serving.imaging.scaling import side_needed

SEED = 0
PHOTO_SIDES = 280, 700  # pixels: an image is enlarged to a random side between these
MAX_SHEET_RATIO = 1.6  # of a side of the white sheet to that of the garment that lies on it
JPEG_QUALITY = 90
MAX_PHOTO_PIXELS = 10_000_000  # none of these photos has more
RESAMPLINGS = (
    Image.Resampling.NEAREST, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS,
)  # fmt: skip
CAMERA_TURNS = {  # by EXIF's Orientation: the transpose that a viewer undoes
    1: None,
    3: Image.Transpose.ROTATE_180,
    6: Image.Transpose.ROTATE_90,
    8: Image.Transpose.ROTATE_270,
}

Pixels = NDArray[np.uint8]


def to_photos(pixels: Pixels, fit: str) -> Pixels:
    """Return images [n, h, w, c] as a model sees photos of them: enlarged, saved as JPEG, decoded and preprocessed.

    fit: "garment" lays each image, inverted, on a white sheet, off its centre; "photo" turns the camera.
    """
    return np.stack([_as_served(photo, fit, pixels.shape[1:]) for photo in photos(pixels, fit)])


def photos(pixels: Pixels, fit: str) -> Iterator[bytes]:
    """Yield the photos of images [n, h, w, c], as the bytes of JPEG files."""
    random = np.random.default_rng(SEED)
    for image in pixels:
        side = int(random.integers(PHOTO_SIDES[0], PHOTO_SIDES[1] + 1))
        enlarged = Image.fromarray(image.squeeze()).resize((side, side), RESAMPLINGS[random.integers(len(RESAMPLINGS))])
        yield _on_white(enlarged, random) if fit == "garment" else _turned(enlarged, random)


def _on_white(image: Image.Image, random: np.random.Generator) -> bytes:
    width, height = (int(side * random.uniform(1, MAX_SHEET_RATIO)) for side in image.size)
    place = int(random.integers(0, width - image.width + 1)), int(random.integers(0, height - image.height + 1))
    sheet = Image.new("RGB", (width, height), "white")
    sheet.paste(ImageOps.invert(image.convert("L")).convert("RGB"), place)
    return _jpeg(sheet)


def _turned(image: Image.Image, random: np.random.Generator) -> bytes:
    orientation = int(random.choice(list(CAMERA_TURNS)))
    turn = CAMERA_TURNS[orientation]
    return _jpeg(image if turn is None else image.transpose(turn), orientation)


def _jpeg(image: Image.Image, orientation: int = 1) -> bytes:
    exif, file = Image.Exif(), io.BytesIO()
    exif[ExifTags.Base.Orientation] = orientation
    image.save(file, "JPEG", quality=JPEG_QUALITY, exif=exif)
    return file.getvalue()


def _as_served(photo: bytes, fit: str, shape: tuple[int, ...]) -> Pixels:
    height, width, channels = shape
    decoded = decode(read_header(photo, PixelBudget(MAX_PHOTO_PIXELS)), side_needed(fit, height, width))
    return preprocess(decoded, fit, height, width, channels).pixels
