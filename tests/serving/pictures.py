"""Small images, and files of them."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pillow_heif
from PIL import ExifTags, Image

COLOURS = ((200, 40, 40), (40, 180, 40), (40, 40, 200), (220, 220, 60))  # top left, top right, bottom left and right


def quarters(width: int = 40, height: int = 24) -> Image.Image:
    """Return four coloured quarters: every rotation and flip of it differs."""
    image = Image.new("RGB", (width, height))
    boxes = [(x, y, x + width // 2, y + height // 2) for y in (0, height // 2) for x in (0, width // 2)]
    for colour, box in zip(COLOURS, boxes, strict=True):
        image.paste(colour, box)
    return image


def noise(width: int = 24, height: int = 20, mode: str = "RGB") -> Image.Image:
    """Return an image that no codec compresses well."""
    return Image.fromarray(np.random.default_rng(3).integers(0, 256, (height, width, 3), np.uint8)).convert(mode)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Return the file of an image."""
    file = io.BytesIO()
    if kind == "HEIF":  # encoded by another package than the service's, which only decodes
        pillow_heif.from_pillow(image).save(file, **{"quality": 95, "chroma": 444} | options)
    else:
        image.save(file, kind, **options)
    return file.getvalue()


def oriented(orientation: int) -> Image.Exif:
    """Return EXIF data with this orientation."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, *more: bytes) -> bytes:
    """Return a PNG of these rows, which need not be valid, with more chunks before its pixels."""
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    tail = png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(more) + tail


def many_scans(side: int, scans: int) -> bytes:
    """Return a progressive JPEG in grey that says its last bits again and again: few bytes that take long to decode."""
    jpeg = saved(Image.new("L", (side, side)), "JPEG", progressive=True)
    last = jpeg.rindex(b"\xff\xda")
    return jpeg[:last] + jpeg[last:-2] * scans + jpeg[-2:]


def understated_avif(side: int, declared: int) -> bytes:
    """Return an AVIF whose frame is a square of this side, though its header declares another."""
    avif = saved(Image.new("L", (side, side)), "AVIF", speed=10, quality=1)
    place = avif.index(b"ispe") + 8
    return avif[:place] + struct.pack(">II", declared, declared) + avif[place + 8 :]


def inflating_text(chunks: int) -> bytes:
    """Return a PNG of a pixel with so many texts of a megabyte each, compressed."""
    megabyte = zlib.compress(bytes(1_000_000))
    return png(1, 1, 8, 0, bytes(2), *[png_chunk(b"zTXt", b"%d\0\0" % place + megabyte) for place in range(chunks)])


def large_tile(side: int) -> bytes:
    """Return a TIFF of 10 by 10 grey pixels in one deflated tile of this side."""
    pixels = zlib.compress(bytes(100))
    place = 8 + 2 + 12 * 10 + 4
    tags = {256: 10, 257: 10, 258: 8, 259: 8, 262: 1, 277: 1, 322: side, 323: side, 324: place, 325: len(pixels)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, number) for tag, number in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + pixels


def tiff_of_many_samples() -> bytes:
    """Return a TIFF that claims more channels than Pillow reads."""
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, number) for tag, number in ((256, 9), (257, 9), (277, 65_535)))
    return b"II*\0" + struct.pack("<IH", 8, 3) + entries + bytes(4)


def damaged_fax(rows: int) -> bytes:
    """Return a TIFF in Group 3 of which almost every row is damaged."""
    pixels = np.random.default_rng(3).bytes(rows)
    place = 8 + 2 + 12 * 9 + 4
    tags = {256: 64, 257: rows, 258: 1, 259: 3, 262: 0, 273: place, 277: 1, 278: rows, 279: len(pixels)}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, number) for tag, number in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + pixels
