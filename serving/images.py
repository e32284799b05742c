"""From the bytes of an upload to the pixels of an input; every limit on an image lives here."""

import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from serving.errors import BadRequest, TooManyPixels, UnreadableImage
from serving.fits import FITS, Box
from serving.png import Plain, data_url, plain, to_png

# What people have; each further format is one more decoder open to strangers.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM")

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
LARGE = 1_000_000  # pixels: more take ten milliseconds and longer
IMAGES_OF_FULL_SIZE = 4  # that a request may have; of smaller ones as many more

EIGHT_BIT = ((np.arange(0x10000) + 128) // 257).astype(np.uint8)  # by the 16-bit level; 257 is 65,535 / 255


@dataclass(frozen=True)
class Picture:
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


@dataclass(frozen=True)
class Input:
    """What a network sees: pixels uint8 [height, width, channels], and all that was done to the upload.

    size: width and height of the upright upload. view: left, top, right and bottom of what is seen of it, in its
    pixels; beyond its edges where black was added.
    """

    pixels: NDArray[np.uint8]
    done: tuple[str, ...]
    size: tuple[int, int]
    view: Box

    def data_url(self) -> str:
        """Return the pixels as a PNG in a data: URL."""
        return data_url(to_png(self.pixels))


class PixelBudget:
    """How many pixels may be decoded: of an image, and of all images of a request together."""

    def __init__(self, image: int) -> None:
        self._image = image
        self._left = IMAGES_OF_FULL_SIZE * image

    def spend(self, width: int, height: int) -> None:
        """Take an image's pixels out of the budget; raises TooManyPixels when they are more than it has."""
        if width * height > self._image:
            raise TooManyPixels(
                f"The image has {width:,} x {height:,} pixels; at most {self._image:,} in all are taken. "
                "Make it smaller before sending it."
            )
        if width * height > self._left:
            raise TooManyPixels(
                f"The images before this one of {width:,} x {height:,} pixels left no room for it: a request may have "
                f"{IMAGES_OF_FULL_SIZE * self._image:,} pixels. Send it in another request."
            )
        self._left -= width * height


@dataclass(frozen=True)
class Opened:
    """An image of which only the header has been read. length: that of the upload in bytes."""

    image: Image.Image | Plain
    length: int

    @property
    def large(self) -> bool:
        """Whether decoding it takes so long that others should not wait for it."""
        width, height = self.image.size
        return width * height > LARGE

    def picture(self) -> Picture:
        """Decode it; raises UnreadableImage."""
        try:
            return Picture(self.image.image(), ()) if isinstance(self.image, Plain) else _upright(self.image)
        except DECODER_ERRORS as error:
            raise _unreadable(self.length) from error


def opened(upload: bytes, budget: PixelBudget) -> Opened:
    """Read an image's header; raises BadRequest when it is empty, TooManyPixels and UnreadableImage."""
    if not upload:
        raise BadRequest("The image is empty: no byte of it arrived. Send the file's content.")
    try:
        image = plain(upload) or Image.open(io.BytesIO(upload), formats=FORMATS)
        budget.spend(*image.size)
    except DECODER_ERRORS as error:
        raise _unreadable(len(upload)) from error
    return Opened(image, len(upload))


def decode(upload: bytes, budget: PixelBudget) -> Picture:
    """Read an image; raises what opened() and picture() do."""
    return opened(upload, budget).picture()


def fit(picture: Picture, how: str, height: int, width: int, channels: int) -> Input:
    """Make the picture the input of this size, the way ("garment" or "photo") that its model asks for."""
    mode = "L" if channels == 1 else "RGB"
    image, done = picture.image, picture.done
    view: Box = (0, 0, *image.size)
    if image.mode != mode or image.size != (width, height):
        if image.mode != "L" and (mode == "L" or how == "garment"):
            image, done = image.convert("L"), (*done, "grey")
        fitted = FITS[how](image, width, height)
        image, done, view = fitted.image, (*done, *fitted.done), fitted.view
        if image.mode != mode:
            image, done = image.convert(mode), (*done, "rgb")
    pixels = np.frombuffer(image.tobytes(), np.uint8).reshape(height, width, channels)
    return Input(pixels, done, picture.image.size, view)


def _unreadable(length: int) -> UnreadableImage:
    return UnreadableImage(
        f"The {length:,} bytes are not a whole image in a format that is read here ({', '.join(FORMATS)}). Send the "
        "file's bytes as they are, or convert it to JPEG or PNG."
    )


def _shows_no_colour(pixels: NDArray[np.uint8]) -> bool:
    return bool((pixels[..., 1:] == pixels[..., :1]).all())


def _upright(image: Image.Image) -> Picture:
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
