"""Pillow's many modes: to 8 bits a channel with or without alpha, and in the end to opaque grey or RGB."""

import sys
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageOps, ImagePalette, TiffImagePlugin

from serving.imaging.formats import is_grey_pair, undefined_range

MAX_LEVEL = 0xFFFF  # of 16 bits
TO_8_BIT = ((np.arange(0x10000) + 128) // 257).astype(np.uint8)  # by the 16-bit level; 257 is 65,535 / 255
# By Pillow's raw mode of a PNG: its largest grey level, and how many of Pillow's levels each of them is.
KEY_SCALES = {"L;2": (3, 85), "L;4": (15, 17), "L": (255, 1)}
DEEP_FORMATS = ("PNG", "TIFF", "PPM")  # of which Pillow has raw modes of 16 bits a channel
GREY_MODES = ("1", "L", "LA", "La")
MAX_8_BIT = 0xFF
# Pillow's raw modes for 16 bits a channel take one byte of each: of a PNG's the upper, or the lower.
DEEP_COLOURS, LOWER_BYTES = "RGB;16B", "RGB;16L"
PREMULTIPLIED_ALPHA = 1  # of TIFF's kinds of extra samples; 0 means nothing, 2 is alpha
GREY_WITH_ALPHA = "LA;16B"  # Pillow's raw mode of a PNG of 16 bits, which it decodes to RGBA

Key = tuple[int, ...]
Converted = tuple[Image.Image, tuple[str, ...]]  # and the names of what was done


class Layout(NamedTuple):
    """How the pixels lie in a file, which Pillow forgets when it loads them.

    grey: it has grey and alpha, though the mode has colours. box: of a GIF, what the first frame covers; None: all.
    upper: of a TIFF of grey and alpha of 16 bits, which of each two bytes is the upper one; None: it is no such.
    """

    grey: bool
    box: tuple[int, int, int, int] | None
    upper: int | None = None


def scale_key(image: Image.Image) -> None:
    """Scale a PNG's transparent level or colour, which Pillow leaves as the file has it, to that of its pixels.

    The image must not be loaded yet.
    """
    key = image.info.get("transparency")
    raw_mode = _png_raw_mode(image)
    if isinstance(key, int) and raw_mode in KEY_SCALES:
        largest, levels = KEY_SCALES[raw_mode]
        image.info["transparency"] = (key & largest) * levels
    elif isinstance(key, tuple) and raw_mode != DEEP_COLOURS:
        image.info["transparency"] = tuple(level & 255 for level in key)


def take_deep_key(image: Image.Image) -> Key | None:
    """Remove and return the transparent colour of a PNG of 16 bits a channel, of which Pillow keeps the upper eight.

    The image must not be loaded yet.
    """
    if _png_raw_mode(image) != DEEP_COLOURS:
        return None
    key: Key | None = image.info.pop("transparency", None)
    return key


def load_lower_bytes(image: Image.Image) -> Image.Image:
    """Decode the lower eight bits of such a PNG, which must not be loaded yet."""
    image.tile = [image.tile[0]._replace(args=LOWER_BYTES)]  # type: ignore[attr-defined]
    image.load()
    return image


def make_transparent(image: Image.Image, lower: Image.Image, key: Key) -> None:
    """Give an image, decoded to its upper and to its lower bytes, alpha: 0 where both are those of the key."""
    alpha = Image.new("L", image.size, 0)
    for part, shift in ((image, 8), (lower, 0)):
        for band, level in zip(part.split(), key, strict=True):
            byte = level >> shift & 255
            alpha = ImageChops.lighter(alpha, band.point([255 * (other != byte) for other in range(256)]))
    image.putalpha(alpha)


def widen_palette(image: Image.Image) -> None:
    """Scale the palette of a TIFF that has it in 8 bits, as some old programs write it, to the 16 that a TIFF has.

    The image must not be loaded yet.
    """
    if not isinstance(image, TiffImagePlugin.TiffImageFile) or image.mode not in ("P", "PA"):
        return
    levels = image.tag_v2[TiffImagePlugin.COLORMAP]
    if max(levels) <= MAX_8_BIT:
        image.palette = ImagePalette.raw("RGB;L", bytes(levels))


def read_layout(image: Image.Image) -> Layout:
    """Return how the pixels lie in the file of an image, which must not be loaded yet."""
    tile = _first_tile(image)
    box = tile.extents if tile and image.format == "GIF" else None
    grey, box = _png_raw_mode(image) == GREY_WITH_ALPHA, None if box == (0, 0, *image.size) else box
    return Layout(grey, box, _upper_byte(image) if is_grey_pair(image) else None)


def _upper_byte(image: Image.Image) -> int:
    """Return which of two bytes is the upper one: libtiff, which reads compressed files, gives this machine's order."""
    tile = _first_tile(image)
    if tile and tile.codec_name == "libtiff":
        return int(sys.byteorder == "little")
    return int(image.tag_v2.prefix == TiffImagePlugin.II)  # type: ignore[attr-defined]


def has_deep_channels(image: Image.Image) -> bool:
    """Whether a file has more than 8 bits a channel; the image must not be loaded yet."""
    if image.mode.startswith("I") or image.info.get("bit_depth", 8) > 8 or is_grey_pair(image):  # the second: of HEIC
        return True
    tile = _first_tile(image)
    if image.format not in DEEP_FORMATS or not tile:
        return False
    raw_mode, *more = (tile.args,) if isinstance(tile.args, str) else tile.args
    return ";16" in raw_mode or (image.format == "PPM" and bool(more) and more[0] > 255)


def to_channels(image: Image.Image, layout: Layout) -> Image.Image:
    """Convert to L, LA, RGB, RGBA, or a mode of other colours without transparency; raises UnreadableImage."""
    if image.mode == "F" or (image.mode == "I" and image.format == "TIFF"):  # of other formats, I has 16 bits
        raise undefined_range(image)
    if image.mode.startswith("I"):
        return _from_16_bit(image)
    if layout.upper is not None:
        return _from_grey_pairs(image, layout.upper)
    if image.has_transparency_data:
        mode = "LA" if layout.grey or image.mode in GREY_MODES else "RGBA"
        return image if image.mode == mode else image.convert(mode)
    if layout.box:
        return _without_ground(image, layout.box)
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


def _first_tile(image: Image.Image) -> Any:
    """Return what Pillow will decode first of an image that is not loaded yet; None where it does not say."""
    return next(iter(getattr(image, "tile", ())), None)


def _png_raw_mode(image: Image.Image) -> str | None:
    """Return Pillow's raw mode of a PNG that is not loaded yet; None for any other image."""
    tile = _first_tile(image)
    return str(tile.args) if tile and image.format == "PNG" else None


def _without_ground(image: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    """Make transparent what no frame covers, as browsers do; Pillow gives it the first colour of the palette."""
    alpha = Image.new("L", image.size, 0)
    alpha.paste(255, box)
    shown = image.convert("L" if image.mode in GREY_MODES else "RGB")
    shown.putalpha(alpha)
    return shown


def _from_16_bit(image: Image.Image) -> Image.Image:
    """Scale 0..65,535 to 0..255, which Pillow's own conversion would clip; a transparent level becomes alpha."""
    levels, key = _levels(image), image.info.get("transparency")
    grey = Image.fromarray(TO_8_BIT[levels])
    if not isinstance(key, int):
        return grey
    return Image.merge("LA", [grey, Image.fromarray(np.where(levels == key, np.uint8(0), np.uint8(255)))])


def _from_grey_pairs(image: Image.Image, upper: int) -> Image.Image:
    """Return grey and alpha of the upper eight bits, as Pillow does of a PNG, or grey where the alpha means nothing."""
    bands, tags = image.split(), image.tag_v2  # type: ignore[attr-defined]
    (kind,) = tags[TiffImagePlugin.EXTRASAMPLES]
    grey, alpha = bands[upper], bands[2 + upper]
    if kind == PREMULTIPLIED_ALPHA:
        together = Image.merge("LA", [grey, alpha]).tobytes()
        grey = Image.frombytes("La", image.size, together).convert("LA").getchannel("L")
    if tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION, 0) == 0:
        grey = ImageOps.invert(grey)
    return Image.merge("LA", [grey, alpha]) if kind else grey


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
