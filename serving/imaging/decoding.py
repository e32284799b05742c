"""Decode an upload to an upright, opaque image of 8 bits a channel. Every limit on an image is kept here."""

import io
import struct
import warnings
import zlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from serving.errors import BadRequest, TooManyPixels, UnreadableImage
from serving.imaging.png import PlainPng, parse_plain_png

# The formats that people have; each further one opens another decoder to strangers.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM")

OFFLOAD_PIXELS = 1_000_000  # decoding more takes ten milliseconds and longer
FULL_SIZE_IMAGES = 4  # images of the largest size that one request may hold; of smaller ones as many more

# The exceptions that Pillow's decoders raise on damaged and hostile files.
DECODER_ERRORS = (
    OSError, SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, EOFError, MemoryError,
    RuntimeError, AssertionError, struct.error, zlib.error,
)  # fmt: skip

TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # by the value of EXIF's Orientation tag

EXIF_KEYS = {"exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"}  # where Pillow looks for that tag
COLOUR_SAMPLE = (64, 64)  # pixels that are looked at first: almost every colour photo shows its colour there
TO_8_BIT = ((np.arange(0x10000) + 128) // 257).astype(np.uint8)  # by the 16-bit level; 257 is 65,535 / 255


def configure_pillow() -> None:
    """Set Pillow's process-wide limits and warnings: this module judges the size and says what is wrong."""
    Image.MAX_IMAGE_PIXELS = None
    warnings.filterwarnings("ignore", module="PIL")  # Pillow repeats text of damaged uploads


class PixelBudget:
    """Limits the pixels to decode: of one image, and of all images of a request together."""

    def __init__(self, max_pixels: int) -> None:
        """max_pixels: of one image."""
        self._max_pixels = max_pixels
        self._left = FULL_SIZE_IMAGES * max_pixels

    def spend(self, width: int, height: int) -> None:
        """Subtract an image's pixels; raises TooManyPixels when the budget does not have them."""
        if width * height > self._max_pixels:
            raise TooManyPixels(
                f"The image has {width:,} x {height:,} pixels; the limit is {self._max_pixels:,} in all. "
                "Make it smaller before sending it."
            )
        if width * height > self._left:
            raise TooManyPixels(
                f"The request has too many pixels: with this image of {width:,} x {height:,} it passes the limit of "
                f"{FULL_SIZE_IMAGES * self._max_pixels:,}. Send this image in another request."
            )
        self._left -= width * height


class ImageHeader(NamedTuple):
    """An image whose header alone has been read. byte_length: of the upload."""

    image: Image.Image | PlainPng
    byte_length: int

    @property
    def is_large(self) -> bool:
        """Whether decoding takes so long that it must not hold up other requests."""
        width, height = self.image.size
        return width * height > OFFLOAD_PIXELS


class DecodedImage(NamedTuple):
    """An upright, opaque image of mode L or RGB. steps: the names of what was done to make it so."""

    image: Image.Image
    steps: tuple[str, ...]

    @property
    def grey(self) -> bool:
        """Whether it shows no colour, whatever its mode."""
        if self.image.mode == "L":
            return True
        views = (self.image.resize(COLOUR_SAMPLE, Image.Resampling.NEAREST), self.image)
        return all(_shows_no_colour(np.asarray(view)) for view in views)


def read_header(upload: bytes, budget: PixelBudget) -> ImageHeader:
    """Read an image's header; raises BadRequest when it is empty, TooManyPixels and UnreadableImage."""
    if not upload:
        raise BadRequest("The image is empty: it has 0 bytes. Send the file's content.")
    try:
        image = parse_plain_png(upload) or Image.open(io.BytesIO(upload), formats=FORMATS)
        budget.spend(*image.size)
    except DECODER_ERRORS as error:
        raise _unreadable(len(upload)) from error
    return ImageHeader(image, len(upload))


def decode(header: ImageHeader) -> DecodedImage:
    """Decode the pixels, of several frames the first, and apply EXIF's orientation; raises UnreadableImage."""
    try:
        if isinstance(header.image, PlainPng):
            return DecodedImage(header.image.decode(), ())
        return _decode_with_pillow(header.image)
    except DECODER_ERRORS as error:
        raise _unreadable(header.byte_length) from error


def _decode_with_pillow(image: Image.Image) -> DecodedImage:
    before = _orientation(image)
    image.load()
    after = _orientation(image)  # 1 where Pillow has rotated the image itself; new where the tag follows the pixels
    several = getattr(image, "is_animated", False) and image.format != "MPO"  # MPO: a photo with a preview behind it
    opaque, steps = _to_opaque(image)
    if after in TRANSPOSES:
        opaque = opaque.transpose(TRANSPOSES[after])
    rotated = before in TRANSPOSES or after in TRANSPOSES
    return DecodedImage(opaque, ("first-frame",) * several + ("rotated",) * rotated + steps)


def _orientation(image: Image.Image) -> int:
    if image.format != "TIFF" and EXIF_KEYS.isdisjoint(image.info):  # parsing EXIF costs as much as a thumbnail
        return 1
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except DECODER_ERRORS:  # damaged EXIF data around sound pixels: ignore it
        return 1


def _to_opaque(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    """Convert to mode L or RGB: transparent pixels over white, 16 bits a channel to 8."""
    if image.mode == "F" or (image.mode == "I" and image.format == "TIFF"):  # of other formats, I has 16 bits
        kind = "floating-point" if image.mode == "F" else "32-bit"
        raise UnreadableImage(f"The image has {kind} pixels, whose range is not defined; save it with 8 or 16 bits.")
    if image.mode.startswith("I"):
        return _from_16_bit(image), ("8-bit",)
    if image.has_transparency_data:
        return _over_white(image)
    if image.mode in ("L", "RGB"):
        return image, ()
    if image.mode == "1":
        return image.convert("L"), ()
    return image.convert("RGB"), () if image.mode == "P" else ("rgb",)


def _over_white(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    mode = "L" if image.mode in ("L", "LA", "La") else "RGB"
    rgba = image if image.mode == "RGBA" else image.convert("RGBA")
    alpha = rgba.getchannel("A")
    if alpha.getextrema() == (255, 255):
        return rgba.convert(mode), ()
    white = Image.new("RGB", image.size, "white")
    white.paste(rgba, mask=alpha)
    return white.convert(mode) if mode == "L" else white, ("flattened",)


def _from_16_bit(image: Image.Image) -> Image.Image:
    """Scale 0..65,535 to 0..255; Pillow's own conversion would clip."""
    return Image.fromarray(TO_8_BIT[np.asarray(image)])


def _shows_no_colour(pixels: NDArray[np.uint8]) -> bool:
    return bool((pixels[..., 1:] == pixels[..., :1]).all())


def _unreadable(byte_length: int) -> UnreadableImage:
    return UnreadableImage(
        f"The {byte_length:,} bytes are not a complete image in a supported format ({', '.join(FORMATS)}). Send the "
        "file's bytes unchanged, or convert it to JPEG or PNG."
    )
