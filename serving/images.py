"""From the bytes of an upload to the pixels of an input; every limit on an image lives here."""

import io
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from serving.errors import BadRequest, TooManyPixels, UnreadableImage
from serving.fits import FITS, Box
from serving.picture import DECODER_ERRORS, Picture, upright
from serving.png import Plain, data_url, plain, to_png

# What people have; each further format is one more decoder open to strangers.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM")

LARGE = 1_000_000  # pixels: more take ten milliseconds and longer
IMAGES_OF_FULL_SIZE = 4  # that a request may have; of smaller ones as many more


class Input(NamedTuple):
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


class Opened(NamedTuple):
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
            return Picture(self.image.image(), ()) if isinstance(self.image, Plain) else upright(self.image)
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
