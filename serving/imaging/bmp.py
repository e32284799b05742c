"""BMPs of unusual masks, converted to the usual ones: Pillow reads few, and no alpha in pixels of 16 bits."""

import struct

import numpy as np
from numpy.typing import NDArray
from PIL import Image

RAW, BITFIELDS, ALPHA_BITFIELDS = (0, 1, 2), 3, 6  # compressions; the latter two are none, with a mask for each channel
BITS = (1, 4, 8, 16, 24, 32)  # a pixel
# Offset of the pixels; the header's size, width, height (negative: the first row first), bits a pixel, compression; the
# masks of red, green, blue and alpha.
HEAD = struct.Struct("<10xIIii2xHI20x4I")
HEADER_SIZE, HEADER_WITH_ALPHA = 40, 56  # bytes; older headers are shorter, and have none of the rest
MAX_LEVEL = 0xFFFF  # of a channel
# By bits a pixel, the masks that Pillow reads, that of alpha being 0 where there is none.
READ = {
    16: ((0xF800, 0x7E0, 0x1F, 0), (0x7C00, 0x3E0, 0x1F, 0)),
    24: ((0xFF0000, 0xFF00, 0xFF, 0),),
    32: ((0xFF0000, 0xFF00, 0xFF, 0), (0xFF0000, 0xFF00, 0xFF, 0xFF000000)),
}
USUAL = struct.Struct("<2sIIIIiiHHI20x4I52x")  # a file's head and a header of version 4


def bmp_size(upload: bytes) -> tuple[int, int]:
    """Return width and height of a BMP, whose masks are converted before it is opened; 0 by 0 for any other file."""
    if not upload.startswith(b"BM") or len(upload) < HEAD.size:
        return 0, 0
    _, header_size, width, height, *_ = HEAD.unpack_from(upload)
    return (width, abs(height)) if header_size >= HEADER_SIZE else (0, 0)


def with_usual_masks(upload: bytes) -> bytes | None:
    """Return the same BMP with each pixel's bytes as blue, green, red and alpha.

    None for any other file, for one that Pillow reads, and for one of too few pixels or of masks without sense.
    """
    if not upload.startswith(b"BM") or len(upload) < HEAD.size:
        return None
    start, header_size, width, height, bits, compression, *masks = HEAD.unpack_from(upload)
    if not (compression == ALPHA_BITFIELDS or (compression == BITFIELDS and header_size >= HEADER_WITH_ALPHA)):
        masks[3] = 0
    if compression not in (BITFIELDS, ALPHA_BITFIELDS) or bits not in (16, 32):
        return None
    if (compression == BITFIELDS and tuple(masks) in READ[bits]) or not (all(masks[:3]) and all(map(_is_mask, masks))):
        return None
    rows, row_bytes = abs(height), (width * bits // 8 + 3) // 4 * 4
    if width <= 0 or not rows or len(upload) < start + rows * row_bytes:
        return None
    words = np.frombuffer(upload, f"<u{bits // 8}", rows * row_bytes * 8 // bits, start).reshape(rows, -1)[:, :width]
    red, green, blue, alpha = (_levels(words, mask) for mask in masks)
    head = USUAL.pack(
        *(b"BM", USUAL.size + 4 * words.size, 0, USUAL.size, USUAL.size - 14, width, height, 1, 32, BITFIELDS),
        *(0xFF0000, 0xFF00, 0xFF, 0xFF000000 if masks[3] else 0),
    )
    return head + np.stack([blue, green, red, alpha], axis=-1).tobytes()


def without_empty_alpha(image: Image.Image) -> Image.Image:
    """Return a decoded image; a BMP that would be transparent everywhere without its alpha, as programs show it."""
    if image.format == "BMP" and image.mode == "RGBA" and image.getchannel("A").getextrema() == (0, 0):
        return image.convert("RGB")
    return image


def unsupported(upload: bytes) -> str:
    """Return what is unusual about a BMP that is not read; empty where nothing is, or its head is not whole."""
    if len(upload) < HEAD.size:
        return ""
    _, header_size, _, _, bits, compression, *masks = HEAD.unpack_from(upload)
    if header_size < HEADER_SIZE or (compression in RAW and bits in BITS):
        return ""
    if compression not in (*RAW, BITFIELDS, ALPHA_BITFIELDS):
        return f"compression {compression}"
    if bits not in (16, 24, 32):
        return f"{bits} bits a pixel"
    colours = tuple(masks[:3])
    if (*colours, 0) in READ[bits] or (bits != 24 and all(map(_is_mask, colours))):
        return ""
    return f"{bits} bits a pixel with the masks {', '.join(f'{mask:X}' for mask in colours)}"


def _is_mask(mask: int) -> bool:
    """Whether the bits of a mask stand together, and are not too many."""
    levels = mask // (mask & -mask) if mask else 0
    return levels <= MAX_LEVEL and levels & (levels + 1) == 0


def _levels(words: NDArray[np.unsignedinteger], mask: int) -> NDArray[np.uint8]:
    """Return the levels of a channel, scaled to 8 bits; 0 where it has no mask."""
    lowest = mask & -mask or 1
    largest = mask // lowest or 1
    levels = ((words & mask) // lowest).astype(np.uint32)
    return ((levels * 255 + largest // 2) // largest).astype(np.uint8)
