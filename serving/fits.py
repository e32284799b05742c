"""How an image of another size becomes a network's input: pure functions on Pillow images."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter, ImageOps

RESAMPLING = Image.Resampling.LANCZOS  # Pillow widens its support when it shrinks: antialiased
CLOSE = 13  # 5 % of the range: how Fashion-MNIST's makers told border from garment (Xiao et al. 2017, section 2)
# The makers sharpened too, with a Gaussian of radius 1; not saying how much: this is best on held-out images.
SHARPEN = ImageFilter.UnsharpMask(radius=1.0, percent=60, threshold=0)

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Fitted:
    """An image of the input's size, and the names of what was done to make it so, in order.

    view: left, top, right and bottom of what it shows, in pixels of the image before; beyond the edges of that image
    where black was added.
    """

    image: Image.Image
    done: tuple[str, ...]
    view: Box


Fit = Callable[[Image.Image, int, int], Fitted]


def photo(image: Image.Image, width: int, height: int) -> Fitted:
    """Bring the shortest side to the input's size and cut out the centre; keeps the image's mode."""
    across = min(image.width, image.height * width / height)  # what is seen of the image
    down = min(image.height, image.width * height / width)
    left, top = (image.width - across) / 2, (image.height - down) / 2
    done = ("resized",) * ((across, down) != (width, height)) + ("cropped",) * ((left, top) != (0, 0))
    view = (left, top, image.width - left, image.height - top)
    if done:
        # In one step: resizing all of a long thin image first would make it enormous.
        image = image.resize((width, height), RESAMPLING, box=view)
    return Fitted(image, done, view)


def garment(image: Image.Image, width: int, height: int) -> Fitted:
    """Do what Fashion-MNIST's makers did to shop photos (Xiao et al. 2017, section 2); takes greyscale.

    A bright border is inverted, the image is trimmed to the garment, its longest side brought to the input's size,
    sharpened if that shrank it, and the result centred on black.
    """
    done = []
    background = _border(image)
    if background > 127:
        image, background = ImageOps.invert(image), 255 - background
        done.append("inverted")
    box = _garment_box(image, background)
    if box != (0, 0, *image.size):
        image = image.crop(box)
        done.append("trimmed")
    scale = min(width / image.width, height / image.height)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    if size != image.size:
        image = image.resize(size, RESAMPLING)
        done.append("resized")
    if scale < 1:
        image = image.filter(SHARPEN)
        done.append("sharpened")
    # Of an odd margin the larger half is left or above, as in all but 0.5 % of Fashion-MNIST's own images.
    left, top = (width - size[0] + 1) // 2, (height - size[1] + 1) // 2
    if size != (width, height):
        canvas = Image.new("L", (width, height), 0)
        canvas.paste(image, (left, top))
        image = canvas
        done.append("centred")
    across, down = (box[2] - box[0]) / size[0], (box[3] - box[1]) / size[1]  # pixels before, of a pixel now
    view_left, view_top = box[0] - left * across, box[1] - top * down
    return Fitted(image, tuple(done), (view_left, view_top, view_left + width * across, view_top + height * down))


def _border(image: Image.Image) -> int:
    """Return the median brightness of the outermost pixels."""
    pixels = np.asarray(image)
    return int(np.median(np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])))


def _garment_box(image: Image.Image, background: int) -> tuple[int, int, int, int]:
    """Return the box of all pixels that are not close to the background; the whole image if there is none."""
    garment = image.point([255 if abs(level - background) > CLOSE else 0 for level in range(256)])
    return garment.getbbox() or (0, 0, *image.size)


FITS: dict[str, Fit] = {"garment": garment, "photo": photo}
