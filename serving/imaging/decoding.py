"""Decode an upload to an upright, opaque image of 8 bits a channel. Every limit on an image is kept here."""

import io
import logging
import warnings
from typing import NamedTuple

from pi_heif import register_heif_opener
from PIL import AvifImagePlugin, ExifTags, Image, ImageChops

from serving.errors import BadRequest, TooManyPixels
from serving.imaging.bmp import bmp_size, with_usual_masks, without_empty_alpha
from serving.imaging.coding import is_deep_avif, read_coding
from serving.imaging.colour import to_srgb
from serving.imaging.embedded_profiles import read_profile
from serving.imaging.formats import DECODER_ERRORS, FORMATS, check_planes, register_deep_tiffs, unreadable
from serving.imaging.heic import turns_itself
from serving.imaging.jpeg import EOI, lacks_only_its_end, without_padding
from serving.imaging.modes import (
    has_deep_channels,
    load_lower_bytes,
    make_transparent,
    read_layout,
    scale_key,
    take_deep_key,
    to_channels,
    to_opaque,
    widen_palette,
)
from serving.imaging.netpbm import without_comments
from serving.imaging.png import PlainPng, parse_plain_png, without_damaged_chunks
from serving.imaging.profiles import is_unknown_coding
from serving.imaging.scaling import SCALED_FORMATS, Extent, draft, shrink
from serving.imaging.sizes import decoded_size, webp_canvas

FULL_SIZE_IMAGES = 4  # images of the largest size that one request may hold; of smaller ones as many more

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
SINGLE_IMAGES = ("MPO", "HEIF")  # formats whose further images are previews of the first, or others beside it
COLOUR_CHUNKS = (b"iCCP", b"gAMA", b"cHRM")  # of a PNG
COLOUR_SAMPLE = (64, 64)  # pixels that are looked at first: almost every colour photo shows its colour there


def configure_pillow() -> None:
    """Set Pillow's process-wide limits, warnings and plug-ins: this module judges the size and says what is wrong."""
    Image.MAX_IMAGE_PIXELS = None
    warnings.filterwarnings("ignore", module="PIL")  # Pillow repeats text of damaged uploads
    logging.getLogger("PIL").setLevel(logging.CRITICAL)  # and reports them as errors, in a line for each
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # each thread reserves memory, and other requests wait for the cores
    register_deep_tiffs()
    register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)


class PixelBudget:
    """Limits the pixels to decode: of one image, and of all images of a request together."""

    def __init__(self, max_pixels: int, left: int | None = None) -> None:
        """max_pixels: of one image. left: for the request; None: all that one may have."""
        self.max_pixels = max_pixels
        self.left = FULL_SIZE_IMAGES * max_pixels if left is None else left

    def check(self, width: int, height: int) -> None:
        """Raise TooManyPixels when the budget does not have an image's pixels."""
        if width * height > self.max_pixels:
            raise TooManyPixels(
                f"The image has {width:,} x {height:,} pixels; the limit is {self.max_pixels:,} in all. "
                "Make it smaller before sending it."
            )
        if width * height > self.left:
            raise TooManyPixels(
                f"The request has too many pixels: with this image of {width:,} x {height:,} it passes the limit of "
                f"{FULL_SIZE_IMAGES * self.max_pixels:,}. Send this image in another request."
            )

    def spend(self, width: int, height: int) -> None:
        """Subtract an image's pixels; raises TooManyPixels when the budget does not have them."""
        self.check(width, height)
        self.left -= width * height


class ImageHeader(NamedTuple):
    """An image whose header alone has been read, and the upload that it is of."""

    image: Image.Image | PlainPng
    upload: bytes


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
        return all(_shows_no_colour(view) for view in views)


def read_header(upload: bytes, budget: PixelBudget) -> ImageHeader:
    """Read an image's header; raises BadRequest when it is empty, TooManyPixels and UnreadableImage."""
    if not upload:
        raise BadRequest("The image is empty: it has 0 bytes. Send the file's content.")
    try:
        if plain := parse_plain_png(upload):
            budget.spend(*plain.size)
            return ImageHeader(plain, upload)
        budget.check(*webp_canvas(upload))
        budget.check(*bmp_size(upload))
        image = _open(upload)
        budget.spend(*decoded_size(image))
        check_planes(image)
    except DECODER_ERRORS as error:
        raise unreadable(upload) from error
    return ImageHeader(image, upload)


def decode(header: ImageHeader, min_side: int = 0) -> DecodedImage:
    """Decode the pixels, of several frames the first, upright and with their colours in sRGB; raises UnreadableImage.

    min_side: the pixels that the shortest side keeps at least; larger images are scaled down to as much or up to twice
    as much, in proportion. 0: all pixels.
    """
    try:
        if isinstance(header.image, PlainPng):
            image = header.image.decode()
            return DecodedImage(shrink(image, Extent(*image.size), min_side), ())
        return _decode_with_pillow(header, header.image, min_side)
    except DECODER_ERRORS as error:
        raise unreadable(header.upload) from error


def _open(upload: bytes) -> Image.Image:
    upload = without_padding(upload)
    try:
        return Image.open(io.BytesIO(without_comments(upload) or with_usual_masks(upload) or upload), formats=FORMATS)
    except DECODER_ERRORS:
        if png := without_damaged_chunks(upload):
            return _open_without_chunks(*png)
        raise


def _open_without_chunks(png: bytes, removed: set[bytes]) -> Image.Image:
    image = Image.open(io.BytesIO(png), formats=FORMATS)
    if not removed.isdisjoint(COLOUR_CHUNKS):
        image.info.setdefault("icc_profile", b"")  # one of no use
    return image


def _decode_with_pillow(header: ImageHeader, image: Image.Image, min_side: int) -> DecodedImage:
    before = image.info.get("original_orientation") or _orientation(image)
    _complete_colours(image, header.upload)
    deep = has_deep_channels(image) or (image.format == "AVIF" and is_deep_avif(header.upload))
    layout = read_layout(image)
    image, extent = _load(image, header.upload, min_side)
    # Read again: it is 1 if the decoder has rotated the image, and the tag may stand behind the pixels.
    after = _orientation(image)
    if image.format == "HEIF" and not turns_itself(header.upload):
        after = before
    several = getattr(image, "is_animated", False) and image.format not in SINGLE_IMAGES
    channels = to_channels(without_empty_alpha(image), layout)
    colours, srgb = to_srgb(shrink(channels, extent, min_side), image.info)
    opaque, flattened = to_opaque(colours)
    if after in TRANSPOSES:
        opaque = opaque.transpose(TRANSPOSES[after])
    rotated = before in TRANSPOSES or after in TRANSPOSES
    steps = ("first-frame",) * several + ("rotated",) * rotated + ("8-bit",) * deep + srgb + flattened
    return DecodedImage(opaque, steps)


def _complete_colours(image: Image.Image, upload: bytes) -> None:
    """Add to the info what Pillow leaves out; the figures of a PNG come before its profile (PNG-3, section 4.3)."""
    if coding := read_coding(image.format, upload):
        image.info.setdefault("nclx_profile", coding)
        if image.format == "PNG" and not is_unknown_coding({"nclx_profile": coding}):
            image.info.pop("icc_profile", None)
    if profile := read_profile(image.format, upload):
        image.info["icc_profile"] = profile


def _load(image: Image.Image, upload: bytes, min_side: int) -> tuple[Image.Image, Extent]:
    """Decode an image, and a JPEG that lacks only its end too; return what of it is shown."""
    extent = draft(image, min_side)
    scale_key(image)
    key = take_deep_key(image)
    widen_palette(image)
    try:
        image.load()
    except OSError:
        if image.format not in SCALED_FORMATS or not lacks_only_its_end(upload):
            raise
        image = _open(upload + EOI)
        extent = draft(image, min_side)
        image.load()
    if key:
        make_transparent(image, load_lower_bytes(_open(upload)), key)
    return image, extent


def _orientation(image: Image.Image) -> int:
    if image.format != "TIFF" and EXIF_KEYS.isdisjoint(image.info):  # parsing EXIF costs as much as a thumbnail
        return 1
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except DECODER_ERRORS:  # damaged EXIF data around sound pixels: ignore it
        return 1


def _shows_no_colour(image: Image.Image) -> bool:
    red, *others = image.split()
    return not any(ImageChops.difference(red, other).getbbox() for other in others)
