"""Encode pixels as PNG and decode plain PNGs: exact, and readable by anything."""

import base64
import io
import struct
from collections.abc import Iterator
from typing import NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from serving.imaging.formats import DECODER_ERRORS

MAX_INPUT_PIXELS = 1024 * 1024  # of a network, and of from_png: a batch takes 200 MB as float32; most take 224 x 224
SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHUNK, CRC, IHDR = struct.Struct(">I4s"), struct.Struct(">I"), struct.Struct(">II5s")
MODES = {b"\x08\x00\x00\x00\x00": "L", b"\x08\x02\x00\x00\x00": "RGB"}  # by depth, colour type and three methods
MAX_IDAT_CHUNKS = 1_000  # a file of more is made to take long
MAX_ANCILLARY_CHUNKS = 32  # before the pixels: of more, none is looked at
ANCILLARY = 0x20  # the bit of a type's first letter: a lower-case one
PIXELS = CHUNK.pack(0, b"IDAT") + CRC.pack(crc32(b"IDAT"))


class PlainPng(NamedTuple):
    """A PNG of 8-bit grey or RGB pixels alone, without a chunk that could rotate, hide or recolour them.

    idat: the compressed pixels, its IDAT chunks joined.
    """

    mode: str
    size: tuple[int, int]
    idat: bytes

    def decode(self) -> Image.Image:
        """Decompress the pixels; raises ValueError."""
        return Image.frombytes(self.mode, self.size, self.idat, "zip", self.mode, 0)


def to_png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode pixels [height, width, 1 or 3]."""
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels).save(file, "PNG")
    return file.getvalue()


def data_url(image: bytes, media_type: str = "image/png") -> str:
    """Return an image's file as a data: URL."""
    return f"data:{media_type};base64,{base64.b64encode(image).decode()}"


def from_png(content: bytes) -> NDArray[np.uint8]:
    """Decode to pixels [height, width, channels]; raises OSError, SyntaxError or ValueError when it is not a PNG."""
    image = Image.open(io.BytesIO(content), formats=["PNG"])
    if image.width * image.height > MAX_INPUT_PIXELS:
        raise ValueError(f"{image.width} x {image.height} pixels; the limit is {MAX_INPUT_PIXELS:,}")
    pixels = np.array(image, np.uint8)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def parse_plain_png(content: bytes) -> PlainPng | None:
    """Parse a plain PNG; None for any other file. Pillow's plugin takes half as long again for a small image."""
    if not content.startswith(SIGNATURE):
        return None
    idat: list[bytes] = []
    try:
        chunks = _chunks(content)
        first, ihdr = next(chunks)
        width, height, coding = IHDR.unpack(ihdr)
        for kind, data in chunks:
            if kind != b"IDAT" or len(idat) == MAX_IDAT_CHUNKS:
                return None
            idat.append(data)
    except (struct.error, ValueError, StopIteration):
        return None
    plain = first == b"IHDR" and coding in MODES and width and height and idat
    return PlainPng(MODES[coding], (width, height), b"".join(idat)) if plain else None


def without_damaged_chunks(content: bytes) -> tuple[bytes, set[bytes]] | None:
    """Return a PNG without the ancillary chunks that Pillow refuses, and their types; None if there are none.

    Those before the pixels only: colours, transparency, text. Without them the pixels are still what they were.
    """
    if not content.startswith(SIGNATURE):
        return None
    kept: list[bytes] = []
    removed, ancillary, start = set(), 0, len(SIGNATURE)
    while start + CHUNK.size <= len(content):
        length, kind = CHUNK.unpack_from(content, start)
        if kind == b"IDAT":
            break
        end = start + CHUNK.size + length + CRC.size
        chunk = content[start:end]
        if kept and kind[0] & ANCILLARY:
            ancillary += 1
            if ancillary > MAX_ANCILLARY_CHUNKS:
                return None
            if not _opens(SIGNATURE + kept[0] + chunk + PIXELS):
                removed.add(kind)
                chunk = b""
        kept.append(chunk)
        start = end
    return (SIGNATURE + b"".join(kept) + content[start:], removed) if removed else None


def _opens(content: bytes) -> bool:
    try:
        Image.open(io.BytesIO(content), formats=["PNG"])
    except DECODER_ERRORS:
        return False
    return True


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield type and data of each chunk but the last; raises ValueError and struct.error when one is damaged."""
    start = len(SIGNATURE)
    while True:
        length, kind = CHUNK.unpack_from(content, start)
        end = start + CHUNK.size + length
        data = content[start + CHUNK.size : end]
        if CRC.unpack_from(content, end)[0] != crc32(data, crc32(kind)):
            raise ValueError("a chunk is damaged")
        if kind == b"IEND":
            return
        yield kind, data
        start = end + CRC.size
