"""Pixels as PNG and back: exact, and readable by anything."""

import base64
import io
import struct
from collections.abc import Iterator
from typing import NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from PIL import Image

LARGEST = 4096 * 4096  # pixels
SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHUNK, CHECK, HEADER = struct.Struct(">I4s"), struct.Struct(">I"), struct.Struct(">II5s")
MODES = {b"\x08\x00\x00\x00\x00": "L", b"\x08\x02\x00\x00\x00": "RGB"}  # by depth, colour type, and three methods
PIECES = 1_000  # in which the pixels may lie: a file of more is made to take long


class Plain(NamedTuple):
    """A PNG of 8-bit grey or RGB pixels and nothing else: no chunk that could turn them, hide them or move them."""

    mode: str
    size: tuple[int, int]
    zipped: bytes

    def image(self) -> Image.Image:
        """Decode it; raises ValueError."""
        return Image.frombytes(self.mode, self.size, self.zipped, "zip", self.mode, 0)


def to_png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode pixels [height, width, 1 or 3]."""
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels).save(file, "PNG")
    return file.getvalue()


def data_url(png: bytes) -> str:
    """Return a PNG as a data: URL."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def from_png(content: bytes) -> NDArray[np.uint8]:
    """Decode to pixels [height, width, channels]; raises OSError, SyntaxError or ValueError when it is no PNG."""
    image = Image.open(io.BytesIO(content), formats=["PNG"])
    if image.width * image.height > LARGEST:
        raise ValueError(f"{image.width} x {image.height} pixels are more than any input has")
    pixels = np.array(image, np.uint8)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def plain(content: bytes) -> Plain | None:
    """Return what a plain PNG holds, None of all else: Pillow's plugin takes twice as long for a small image."""
    if not content.startswith(SIGNATURE):
        return None
    zipped: list[bytes] = []
    try:
        chunks = _chunks(content)
        first, header = next(chunks)
        width, height, how = HEADER.unpack(header)
        for kind, data in chunks:
            if kind != b"IDAT" or len(zipped) == PIECES:
                return None
            zipped.append(data)
    except (struct.error, ValueError, StopIteration):
        return None
    sound = first == b"IHDR" and how in MODES and width and height and zipped
    return Plain(MODES[how], (width, height), b"".join(zipped)) if sound else None


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and data of each chunk but the last; raises ValueError and struct.error where one is damaged."""
    start = len(SIGNATURE)
    while True:
        length, kind = CHUNK.unpack_from(content, start)
        end = start + CHUNK.size + length
        data = content[start + CHUNK.size : end]
        if CHECK.unpack_from(content, end)[0] != crc32(data, crc32(kind)):
            raise ValueError("a chunk is damaged")
        if kind == b"IEND":
            return
        yield kind, data
        start = end + CHECK.size
