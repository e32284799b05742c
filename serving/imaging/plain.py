"""Tell the small PNGs and JPEGs that decode within milliseconds, whatever is in them."""

import struct

from serving.imaging.jpeg import SOI, SOS
from serving.imaging.png import CHUNK, CRC, SIGNATURE

MAX_BYTES = 100_000  # of an upload
MAX_PIXELS = 1_000_000  # decoding more takes ten milliseconds and longer
MAX_SIDE = 10_000  # of a PNG; resizing a longer one takes several times as long
RECOLOURING_COST = 8  # how many times as long a pixel takes whose colour, depth or alpha is converted
MAX_CHUNKS = 1_000  # of a PNG; each costs Pillow some microseconds
MAX_TEXT_BYTES = 1_024  # of a PNG's chunk: text may hold EXIF data, which may refer to the same bytes again and again
MAX_SEGMENTS = 32  # of a JPEG before its pixels: a camera's has twenty
MAX_HEADER_BYTES = 16_384  # of a JPEG before its pixels, which may hold EXIF data too

PIXEL_CHUNKS = (b"PLTE", b"IDAT")
# All but those that are inflated, or hold frames or EXIF data.
CHUNKS = frozenset(b"PLTE IDAT IHDR IEND tRNS gAMA cHRM sRGB sBIT bKGD pHYs tIME tEXt".split())
RECOLOURING_CHUNKS, DEEP = (b"tRNS", b"gAMA", b"cHRM"), 16
PNG_SIZE, PNG_SIZE_PLACE = struct.Struct(">IIB"), 16  # width, height and the bits of a channel

SEGMENT = struct.Struct(">BBH")  # of a JPEG: 0xFF, the marker, and the length of what follows the marker
FRAME = struct.Struct(">5xHHB")  # height, width and the number of components
BASELINE = (0xC0, 0xC1)  # the frames of Huffman codes that no later scan refines
HUFFMAN_TABLE, QUANTIZATION_TABLE, RESTART_INTERVAL, COMMENT = 0xC4, 0xDB, 0xDD, 0xFE
APPLICATION = range(0xE0, 0xF0)  # JFIF, EXIF, colour profiles
# Decoders skip what they do not know in ways of their own: where these are all, they read the same frame as this does.
SEGMENTS = frozenset({*BASELINE, SOS, HUFFMAN_TABLE, QUANTIZATION_TABLE, RESTART_INTERVAL, COMMENT, *APPLICATION})


def is_quick(upload: bytes) -> bool:
    """Return whether it is a small PNG of ordinary chunks, a small baseline JPEG of one scan, or empty.

    It need not be sound.
    """
    if len(upload) > MAX_BYTES:
        return False
    try:
        return not upload or (_is_quick_png(upload) if upload.startswith(SIGNATURE) else _is_quick_jpeg(upload))
    except (struct.error, IndexError):  # it ends early
        return False


def _is_quick_png(upload: bytes) -> bool:
    width, height, depth = PNG_SIZE.unpack_from(upload, PNG_SIZE_PLACE)
    place, recoloured = len(SIGNATURE), depth == DEEP
    for _ in range(MAX_CHUNKS):
        length, kind = CHUNK.unpack_from(upload, place)
        if kind not in CHUNKS or (length > MAX_TEXT_BYTES and kind not in PIXEL_CHUNKS):
            return False
        if (kind == b"IHDR") != (place == len(SIGNATURE)):  # of several, decoders take the last
            return False
        if kind == b"IEND":
            pixels = width * height * (RECOLOURING_COST if recoloured else 1)
            return bool(pixels <= MAX_PIXELS and max(width, height) <= MAX_SIDE)
        recoloured |= kind in RECOLOURING_CHUNKS
        place += CHUNK.size + length + CRC.size
    return False


def _is_quick_jpeg(upload: bytes) -> bool:
    if not upload.startswith(SOI):
        return False
    place, components, pixels = len(SOI), 0, 0
    for _ in range(MAX_SEGMENTS):
        prefix, marker, length = SEGMENT.unpack_from(upload, place)
        if prefix != 0xFF or place > MAX_HEADER_BYTES or marker not in SEGMENTS:
            return False
        if marker in BASELINE:
            height, width, components = FRAME.unpack_from(upload, place)
            pixels = height * width
        if marker == SOS:  # of all components: otherwise others follow, without end
            return upload[place + SEGMENT.size] == components and pixels <= MAX_PIXELS
        place += 2 + length
    return False
