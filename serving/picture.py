"""A picture: whatever file it came in, upright, opaque and of eight bits."""

import struct
import zlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from serving.errors import UnreadableImage

# What Pillow's decoders raise on damaged and hostile files.
DECODER_ERRORS = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, MemoryError,
    RuntimeError, AssertionError, struct.error, zlib.error,
)  # fmt: skip

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # by the value of EXIF's tag Orientation

EXIF = {"exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"}  # where Pillow looks for the tag
SAMPLE = (64, 64)
EIGHT_BIT = ((np.arange(0x10000) + 128) // 257).astype(np.uint8)  # by the 16-bit level; 257 is 65,535 / 255


class Picture(NamedTuple):
    """An upright, opaque image of mode L or RGB, and what was done to make it so."""

    image: Image.Image
    done: tuple[str, ...]

    @property
    def grey(self) -> bool:
        """Whether it shows no colour, whatever its mode."""
        if self.image.mode == "L":
            return True
        # A sample first, since almost every photo shows its colour there.
        views = (self.image.resize(SAMPLE, Image.Resampling.NEAREST), self.image)
        return all(_shows_no_colour(np.asarray(view)) for view in views)


def upright(image: Image.Image) -> Picture:
    """Decode the pixels, the first frame's where there are several, and turn them as the camera was held."""
    before = _orientation(image)
    image.load()
    after = _orientation(image)  # 1 where Pillow has turned the image itself; new where the tag follows the pixels
    several = getattr(image, "is_animated", False) and image.format != "MPO"  # MPO: a photo with a preview behind it
    opaque, done = _opaque(image)
    if after in TURNS:
        opaque = opaque.transpose(TURNS[after])
    turned = before in TURNS or after in TURNS
    return Picture(opaque, ("first-frame",) * several + ("rotated",) * turned + done)


def _orientation(image: Image.Image) -> int:
    if image.format != "TIFF" and EXIF.isdisjoint(image.info):  # which costs as much as decoding a thumbnail
        return 1
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except DECODER_ERRORS:  # damaged EXIF data around sound pixels: read as if it weren't there
        return 1


def _opaque(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """Return the image as L or RGB: over white where it is transparent, 16 bits brought to 8."""
    if image.mode == "F" or (image.mode == "I" and image.format == "TIFF"):  # of other formats, I has 16 bits
        kind = "floating-point" if image.mode == "F" else "32-bit"
        raise UnreadableImage(f"The image has {kind} pixels, which have no set white; save it with 8 or 16 bits.")
    if image.mode.startswith("I"):
        return _from_sixteen_bits(image), ("8-bit",)
    if image.has_transparency_data:
        return _over_white(image)
    if image.mode in ("L", "RGB"):
        return image, ()
    if image.mode == "1":
        return image.convert("L"), ()
    return image.convert("RGB"), () if image.mode == "P" else ("rgb",)


def _over_white(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    mode = "L" if image.mode in ("L", "LA", "La") else "RGB"
    coloured = image if image.mode == "RGBA" else image.convert("RGBA")
    alpha = coloured.getchannel("A")
    if alpha.getextrema() == (255, 255):
        return coloured.convert(mode), ()
    white = Image.new("RGB", image.size, "white")
    white.paste(coloured, mask=alpha)
    return white.convert(mode) if mode == "L" else white, ("flattened",)


def _from_sixteen_bits(image: Image.Image) -> Image.Image:
    """Scale 0..65,535 to 0..255; Pillow's own conversion would clip."""
    return Image.fromarray(EIGHT_BIT[np.asarray(image)])


def _shows_no_colour(pixels: NDArray[np.uint8]) -> bool:
    return bool((pixels[..., 1:] == pixels[..., :1]).all())
