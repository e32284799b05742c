"""Resize an image to a network's input, as the model's card asks: pure functions on Pillow images."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter, ImageOps

RESAMPLING = Image.Resampling.LANCZOS  # Pillow widens its support when it shrinks: antialiased
# 5 % of the range: how Fashion-MNIST's authors told border from garment (Xiao et al. 2017, section 2).
BACKGROUND_TOLERANCE = 13
# They sharpened too, with a Gaussian of radius 1; how much they do not say: 60 % is best on validation images.
SHARPEN = ImageFilter.UnsharpMask(radius=1.0, percent=60, threshold=0)

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Resized:
    """An image of the input's size. steps: the names of what was done to make it so, in order.

    view: left, top, right and bottom of the part of the original that it shows, in the original's pixels; beyond the
    original's edges where black was added.
    """

    image: Image.Image
    steps: tuple[str, ...]
    view: Box


Resizer = Callable[[Image.Image, int, int], Resized]


def resize_photo(image: Image.Image, width: int, height: int) -> Resized:
    """Scale the shortest side to the input's size and crop the centre; keeps the image's mode."""
    across = min(image.width, image.height * width / height)  # width and height of the part that is kept
    down = min(image.height, image.width * height / width)
    left, top = (image.width - across) / 2, (image.height - down) / 2
    steps = ("resized",) * ((across, down) != (width, height)) + ("cropped",) * ((left, top) != (0, 0))
    view = (left, top, image.width - left, image.height - top)
    if steps:
        # In one step: resizing all of a long thin image first would make it enormous.
        image = image.resize((width, height), RESAMPLING, box=view)
    return Resized(image, steps, view)


def resize_garment(image: Image.Image, width: int, height: int) -> Resized:
    """Do what Fashion-MNIST's authors did to shop photos (Xiao et al. 2017, section 2); takes mode L.

    Invert a bright background, trim to the garment, scale its longest side to the input's size, sharpen if that
    shrank it, and centre the result on black.
    """
    steps = []
    background = _border_level(image)
    if background > 127:
        image, background = ImageOps.invert(image), 255 - background
        steps.append("inverted")
    box = _garment_box(image, background)
    if box != (0, 0, *image.size):
        image = image.crop(box)
        steps.append("trimmed")
    scale = min(width / image.width, height / image.height)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    if size != image.size:
        image = image.resize(size, RESAMPLING)
        steps.append("resized")
    if scale < 1:
        image = image.filter(SHARPEN)
        steps.append("sharpened")
    # Of an odd margin the larger half is left or above, as in all but 0.5 % of Fashion-MNIST's own images.
    left, top = (width - size[0] + 1) // 2, (height - size[1] + 1) // 2
    if size != (width, height):
        canvas = Image.new("L", (width, height), 0)
        canvas.paste(image, (left, top))
        image = canvas
        steps.append("centred")
    across, down = (box[2] - box[0]) / size[0], (box[3] - box[1]) / size[1]  # original pixels to one of the input's
    view_left, view_top = box[0] - left * across, box[1] - top * down
    view = (view_left, view_top, view_left + width * across, view_top + height * down)
    return Resized(image, tuple(steps), view)


def _border_level(image: Image.Image) -> int:
    """Return the median brightness of the outermost pixels."""
    pixels = np.asarray(image)
    return int(np.median(np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])))


def _garment_box(image: Image.Image, background: int) -> tuple[int, int, int, int]:
    """Return the box of all pixels that differ from the background; the whole image if none does."""
    differs = image.point([255 if abs(level - background) > BACKGROUND_TOLERANCE else 0 for level in range(256)])
    return differs.getbbox() or (0, 0, *image.size)


RESIZERS: dict[str, Resizer] = {"garment": resize_garment, "photo": resize_photo}
