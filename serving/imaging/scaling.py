"""Decode no more of a photo than a model needs: most have a hundred times the pixels of its input.

A JPEG is scaled by its own decoder, to a half, a quarter or an eighth (Image.draft); what is left over, and any other
format, by averaging.
"""

from typing import NamedTuple

from PIL import Image

# Pixels that the shortest side keeps at least. A garment is looked for at up to 384 pixels of the longest side, which a
# photo of 3:2 keeps: one that fills a sixth of it has twice the 28 of its input. Other photos are only resized, and an
# input of 32 pixels differs by a level or two of 255.
MIN_SIDE = 256
SIDES_LEFT = 2  # how many times the input's side it keeps at least: what is averaged away is beyond the input's grid
SCALED_FORMATS = ("JPEG", "MPO")  # whose decoder scales
MAX_SIDE = 100_000  # pixels; a longer side is averaged, for resizing it in one step would take gigabytes
PREMULTIPLIED = {"RGBA": "RGBa", "LA": "La"}  # in which transparent pixels lend no colour to their neighbours


class Extent(NamedTuple):
    """Width and height of what an image shows, in its own pixels: its last column and row may be partly filled."""

    width: float
    height: float


def side_needed(height: int, width: int) -> int:
    """Return what the shortest side of an upload must keep for an input of this size."""
    return max(MIN_SIDE, SIDES_LEFT * max(height, width))


def draft(image: Image.Image, min_side: int) -> Extent:
    """Have the decoder scale an image that is not loaded yet, if it can; return what it will show."""
    width, height = image.size
    if not min_side or image.format not in SCALED_FORMATS:
        return Extent(width, height)
    drafted = image.draft(None, (min_side, min_side))
    return Extent(*drafted[1][2:]) if drafted else Extent(width, height)


def shrink(image: Image.Image, extent: Extent, min_side: int) -> Image.Image:
    """Average an image of mode L, LA, RGB, RGBA or CMYK until its shortest side has min_side pixels, or up to twice.

    Keeps proportions and centre exactly: of a side that does not divide evenly, less than a pixel is cropped.
    """
    shortest = min(extent)
    factor = max(1, shortest // min_side) if min_side else 1
    if factor > 1 or extent != image.size:
        step = shortest / (shortest // factor)
        size = int(extent.width / step + 1e-9), int(extent.height / step + 1e-9)
        left, top = (max(0.0, (long - short * step) / 2) for long, short in zip(extent, size, strict=True))
        box = (left, top, extent.width - left, extent.height - top)
        image = _resize(image, size, box)
    if max(image.size) > MAX_SIDE:
        image = image.reduce((-(-image.width // MAX_SIDE), -(-image.height // MAX_SIDE)))
    return image


def _resize(image: Image.Image, size: tuple[int, int], box: tuple[float, float, float, float]) -> Image.Image:
    mode = image.mode
    if mode in PREMULTIPLIED:
        image = image.convert(PREMULTIPLIED[mode])
    # A gap of 1: whole pixels are averaged first, and only the rest, less than a factor of two, is resampled.
    resized = image.resize(size, Image.Resampling.LANCZOS, box, reducing_gap=1.0)
    return resized.convert(mode) if mode in PREMULTIPLIED else resized
