"""Pillow's many modes: to 8 bits a channel with or without alpha, and in the end to opaque grey or RGB."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from serving.imaging.formats import undefined_range

MAX_LEVEL = 0xFFFF  # of 16 bits
TO_8_BIT = ((np.arange(0x10000) + 128) // 257).astype(np.uint8)  # by the 16-bit level; 257 is 65,535 / 255
# By Pillow's raw mode of a PNG: its largest grey level, and how many of Pillow's levels each of them is.
KEY_SCALES = {"L;2": (3, 85), "L;4": (15, 17), "L": (255, 1)}
DEEP_FORMATS = ("PNG", "TIFF", "PPM")  # of which Pillow has raw modes of 16 bits a channel
GREY_MODES = ("1", "L", "LA", "La")

Converted = tuple[Image.Image, tuple[str, ...]]  # and the names of what was done


def scale_key(image: Image.Image) -> None:
    """Scale a PNG's transparent level or colour, which Pillow leaves as the file has it, to that of its pixels.

    The image must not be loaded yet. Of 16 bits a channel in RGB, Pillow keeps the upper eight.
    """
    key = image.info.get("transparency")
    raw_mode = image.tile[0].args if image.format == "PNG" and image.tile else None  # type: ignore[attr-defined]
    if isinstance(key, int) and raw_mode in KEY_SCALES:
        largest, levels = KEY_SCALES[raw_mode]
        image.info["transparency"] = (key & largest) * levels
    elif isinstance(key, tuple):
        image.info["transparency"] = tuple(level >> 8 if raw_mode == "RGB;16B" else level & 255 for level in key)


def has_deep_channels(image: Image.Image) -> bool:
    """Whether a file has more than 8 bits a channel; the image must not be loaded yet."""
    tiles = getattr(image, "tile", ())
    if image.mode.startswith("I") or image.info.get("bit_depth", 8) > 8:  # the latter is of HEIC
        return True
    if image.format not in DEEP_FORMATS or not tiles:
        return False
    args = tiles[0].args
    raw_mode, *more = (args,) if isinstance(args, str) else args
    return ";16" in raw_mode or (image.format == "PPM" and bool(more) and more[0] > 255)


def to_channels(image: Image.Image) -> Image.Image:
    """Convert to L, LA, RGB, RGBA, or a mode of other colours without transparency; raises UnreadableImage."""
    if image.mode == "F" or (image.mode == "I" and image.format == "TIFF"):  # of other formats, I has 16 bits
        raise undefined_range(image)
    if image.mode.startswith("I"):
        return _from_16_bit(image)
    if image.has_transparency_data:
        mode = "LA" if image.mode in GREY_MODES else "RGBA"
        return image if image.mode == mode else image.convert(mode)
    if image.mode == "1":
        return image.convert("L")
    return image.convert("RGB") if image.mode == "P" else image


def to_opaque(image: Image.Image) -> Converted:
    """Convert what to_channels returns to mode L or RGB, with transparent pixels over white."""
    if image.mode in ("LA", "RGBA"):
        return _over_white(image)
    if image.mode in ("L", "RGB"):
        return image, ()
    return image.convert("RGB"), ("rgb",)


def _from_16_bit(image: Image.Image) -> Image.Image:
    """Scale 0..65,535 to 0..255, which Pillow's own conversion would clip; a transparent level becomes alpha."""
    levels, key = _levels(image), image.info.get("transparency")
    grey = Image.fromarray(TO_8_BIT[levels])
    if not isinstance(key, int):
        return grey
    return Image.merge("LA", [grey, Image.fromarray(np.where(levels == key, np.uint8(0), np.uint8(255)))])


def _levels(image: Image.Image) -> NDArray[np.integer]:
    """Return the levels of grey; of a TIFF, Pillow leaves 12 bits at the lower end, and white where zero is white."""
    levels = np.asarray(image)
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return levels
    if image.tag_v2.get(TiffImagePlugin.BITSPERSAMPLE, (16,))[0] == 12:
        levels = levels << 4 | levels >> 8
    white_is_zero = image.tag_v2.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION, 0) == 0
    return MAX_LEVEL - levels if white_is_zero else levels


def _over_white(image: Image.Image) -> Converted:
    alpha = image.getchannel("A")
    mode = image.mode.removesuffix("A")
    if alpha.getextrema() == (255, 255):
        return image.convert(mode), ()
    white = Image.new(mode, image.size, "white")
    white.paste(image.convert(mode), mask=alpha)
    return white, ("flattened",)
