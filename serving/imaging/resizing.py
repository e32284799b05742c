"""Resize an image to a network's input, as the model's card asks: pure functions on Pillow images."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps

from serving.imaging.garment import find_garment

RESAMPLING = Image.Resampling.LANCZOS  # Pillow widens its support when it shrinks: antialiased
# 5% of the range: how Fashion-MNIST's authors told border from garment (Xiao et al. 2017, section 2).
BACKGROUND_TOLERANCE = 13
# They sharpened too, with a Gaussian of radius 1; how much they do not say: 60% is best on validation images.
SHARPEN = ImageFilter.UnsharpMask(radius=1.0, percent=60, threshold=0)

WORK_SIDE = 384  # pixels of the longest side on which a garment is isolated: one that fills a seventh still has 54
# The mean brightness (0 to 255, inverted) between which a garment is brought: photos of light and of dark clothes
# differ more than Fashion-MNIST's images do. Chosen on photos of garments.
LEVELS = 90, 130
PLAIN_SHARE = 0.98  # of a border that is of one level
COLOUR_SAMPLE = (64, 64)

Box = tuple[float, float, float, float]
Pixels = tuple[int, int, int, int]


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
    """Do what Fashion-MNIST's authors did to shop photos (Xiao et al. 2017, section 2); takes mode L or RGB.

    Tell the garment from the ground, make the ground black, and the garment grey, inverted and of usual brightness;
    trim, scale the longest side to the input's size, sharpen if that shrank it, and centre on black. A grey image on
    black, such as the data set's own, is not inverted; a shop photo on white is only inverted. Where the garment is not
    found, the ground stays.
    """
    grey = image if image.mode == "L" else image.convert("L")
    steps = ("grey",) * (image.mode != "L")
    if is_on_black(image) or is_on_white(grey):
        return _place_with_ground(grey, steps, width, height)
    work = _reduce(image)
    mask = find_garment(work)
    if mask is None:
        return _place_with_ground(grey, (*steps, "ground-kept"), width, height)
    isolated, levelled = _isolate(work, mask)
    scale = image.width / work.width, image.height / work.height
    steps += ("isolated", "inverted") + ("levelled",) * levelled
    resized = _place(isolated, isolated.getbbox() or (0, 0, *isolated.size), steps, width, height)
    left, top, right, bottom = resized.view
    return replace(resized, view=(left * scale[0], top * scale[1], right * scale[0], bottom * scale[1]))


def is_on_black(image: Image.Image) -> bool:
    """Whether an image (mode L or RGB) has no colour and a black border, as Fashion-MNIST's own have."""
    if _border_level(image) > BACKGROUND_TOLERANCE:
        return False
    return image.mode == "L" or bool((np.ptp(np.asarray(image.resize(COLOUR_SAMPLE)), axis=2) == 0).all())


def is_on_white(image: Image.Image, share: float = PLAIN_SHARE) -> bool:
    """Whether at least this share of an image's border (mode L or RGB) is white, as in shop photos and in drawings."""
    return bool((_border(image) >= 255 - BACKGROUND_TOLERANCE).mean() >= share)


def _reduce(image: Image.Image) -> Image.Image:
    """Return an image of at most WORK_SIDE pixels a side."""
    scale = WORK_SIDE / max(image.size)
    if scale >= 1:
        return image
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.resize(size, Image.Resampling.BOX, reducing_gap=2.0)


def _isolate(image: Image.Image, mask: Image.Image) -> tuple[Image.Image, bool]:
    """Return the garment inverted on black (mode L), and whether its brightness was changed."""
    share = np.asarray(mask.resize(image.size, Image.Resampling.BILINEAR), np.float32) / 255
    inverted = 255 - np.asarray(image.convert("L"), np.float32)
    mean = float(inverted[share > 0.5].mean())
    shift = min(max(mean, LEVELS[0]), LEVELS[1]) - mean
    garment = np.where(share > 0.5, (inverted + shift).clip(1, 255) * share, 0)
    return Image.fromarray(np.rint(garment).astype(np.uint8)), abs(shift) >= 1


def _place_with_ground(image: Image.Image, steps: tuple[str, ...], width: int, height: int) -> Resized:
    """Place a whole image, its ground included: inverted where its border is bright, and trimmed to what differs."""
    background = _border_level(image)
    if background > 127:
        image, background = ImageOps.invert(image), 255 - background
        steps += ("inverted",)
    return _place(image, _garment_box(image, background), steps, width, height)


def _place(image: Image.Image, box: Pixels, steps: tuple[str, ...], width: int, height: int) -> Resized:
    """Trim to the box, scale the longest side, sharpen if that shrank it, and centre on black."""
    if box != (0, 0, *image.size):
        image = image.crop(box)
        steps += ("trimmed",)
    scale = min(width / image.width, height / image.height)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    if size != image.size:
        image = image.resize(size, RESAMPLING)
        steps += ("resized",)
    if scale < 1:
        image = image.filter(SHARPEN)
        steps += ("sharpened",)
    # Of an odd margin the larger half is left or above, as in all but 0.5% of Fashion-MNIST's own images.
    left, top = (width - size[0] + 1) // 2, (height - size[1] + 1) // 2
    if size != (width, height):
        canvas = Image.new("L", (width, height), 0)
        canvas.paste(image, (left, top))
        image = canvas
        steps += ("centred",)
    across, down = (box[2] - box[0]) / size[0], (box[3] - box[1]) / size[1]  # original pixels to one of the input's
    view_left, view_top = box[0] - left * across, box[1] - top * down
    view = (view_left, view_top, view_left + width * across, view_top + height * down)
    return Resized(image, steps, view)


def _border_level(image: Image.Image) -> int:
    """Return the median brightness of the outermost pixels."""
    return int(np.median(_border(image)))


def _border(image: Image.Image) -> NDArray[np.uint8]:
    """Return the levels of the outermost pixels of an image (mode L or RGB), without a copy of the rest."""
    right, bottom = image.size
    edges = (0, 0, right, 1), (0, bottom - 1, right, bottom), (0, 0, 1, bottom), (right - 1, 0, right, bottom)
    return np.concatenate([np.asarray(image.crop(edge)).ravel() for edge in edges])


def _garment_box(image: Image.Image, background: int) -> Pixels:
    """Return the box of all pixels that differ from the background; the whole image if none does."""
    differs = image.point([255 if abs(level - background) > BACKGROUND_TOLERANCE else 0 for level in range(256)])
    return differs.getbbox() or (0, 0, *image.size)


RESIZERS: dict[str, Resizer] = {"garment": resize_garment, "photo": resize_photo}
