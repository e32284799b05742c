"""How an image of another size becomes a network's input: pure functions on Pillow images.

Each returns the image and the names of what was done to it, in order.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageOps

RESAMPLING = Image.Resampling.BICUBIC  # Pillow widens its support when it shrinks: antialiased
CLOSE = 13  # 5 % of the range: how Fashion-MNIST's makers told border from garment (Xiao et al. 2017, section 2)

Fit = Callable[[Image.Image, int, int], tuple[Image.Image, tuple[str, ...]]]


def photo(image: Image.Image, width: int, height: int) -> tuple[Image.Image, tuple[str, ...]]:
    """Bring the shortest side to the input's size and cut out the centre; keeps the image's mode."""
    across = min(image.width, image.height * width / height)  # what is seen of the image
    down = min(image.height, image.width * height / width)
    left, top = (image.width - across) / 2, (image.height - down) / 2
    done = ("resized",) * ((across, down) != (width, height)) + ("cropped",) * ((left, top) != (0, 0))
    if done:
        # In one step: resizing all of a long thin image first would make it enormous.
        box = (left, top, image.width - left, image.height - top)
        image = image.resize((width, height), RESAMPLING, box=box)
    return image, done


def garment(image: Image.Image, width: int, height: int) -> tuple[Image.Image, tuple[str, ...]]:
    """Do what Fashion-MNIST's makers did to shop photos (Xiao et al. 2017, section 2); takes greyscale.

    A bright border is inverted, the image is trimmed to the garment, its longest side brought to the input's size,
    and the result centred on black.
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
    if size != (width, height):
        canvas = Image.new("L", (width, height), 0)
        # Of an odd margin the larger half is left or above, as in all but 0.5 % of Fashion-MNIST's own images.
        canvas.paste(image, ((width - size[0] + 1) // 2, (height - size[1] + 1) // 2))
        image = canvas
        done.append("centred")
    return image, tuple(done)


def _border(image: Image.Image) -> int:
    """Return the median brightness of the outermost pixels."""
    pixels = np.asarray(image)
    return int(np.median(np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])))


def _garment_box(image: Image.Image, background: int) -> tuple[int, int, int, int]:
    """Return the box of all pixels that are not close to the background; the whole image if there is none."""
    garment = image.point([255 if abs(level - background) > CLOSE else 0 for level in range(256)])
    return garment.getbbox() or (0, 0, *image.size)


FITS: dict[str, Fit] = {"garment": garment, "photo": photo}
