"""The sizes for which decoders allocate memory: larger than Pillow tells (TIFF), or sooner than it does (WebP)."""

from PIL import Image, TiffImagePlugin

Size = tuple[int, int]  # width and height

SIDE_14_BITS = (1 << 14) - 1
CANVAS_BYTES = 30  # of a WebP, before which its size stands


def webp_canvas(upload: bytes) -> Size:
    """Return the size for which a WebP's decoder allocates memory as it opens the file; 0 by 0 for any other file."""
    if upload[:4] != b"RIFF" or upload[8:15] != b"WEBPVP8" or len(upload) < CANVAS_BYTES:
        return 0, 0
    if upload[15:16] == b"X":
        return _little(upload[24:27]) + 1, _little(upload[27:30]) + 1
    if upload[15:16] == b"L":
        sides = _little(upload[21:25])
        return (sides & SIDE_14_BITS) + 1, (sides >> 14 & SIDE_14_BITS) + 1
    return _little(upload[26:28]) & SIDE_14_BITS, _little(upload[28:30]) & SIDE_14_BITS


def decoded_size(image: Image.Image) -> Size:
    """Return the size for which an image's decoder allocates memory: a TIFF's tile may be larger than the image.

    Raises TypeError when the tile has no size.
    """
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return image.size
    tags, (width, height) = image.tag_v2, image.size
    return (
        max(width, tags.get(TiffImagePlugin.TILEWIDTH, 0)),
        max(height, tags.get(TiffImagePlugin.TILELENGTH, 0)),
    )


def _little(number: bytes) -> int:
    return int.from_bytes(number, "little")
