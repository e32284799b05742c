"""Read how the colours and levels of an AVIF or a PNG are coded (ITU-T H.273), which Pillow does not tell."""

import struct

from serving.imaging.heic import description
from serving.imaging.png import CHUNK, CRC, SIGNATURE

COLR, AV1C = b"colrnclx", b"av1C"  # boxes of an AVIF
HIGH_BIT_DEPTH = 0x40  # in the third byte of av1C
PAIR = struct.Struct(">HH")
MAX_CHUNKS = 64  # of a PNG, before its pixels: cICP is among the first

Coding = dict[str, int]


def read_coding(kind: str | None, upload: bytes) -> Coding:
    """Return primaries and transfer by the names that the decoder of HEIC gives them; empty where a file has none.

    kind: Pillow's name of the format.
    """
    pair = _of_avif(upload) if kind == "AVIF" else _of_png(upload) if kind == "PNG" else None
    return dict(zip(("color_primaries", "transfer_characteristics"), pair, strict=True)) if pair else {}


def is_deep_avif(upload: bytes) -> bool:
    """Whether an AVIF has 10 or 12 bits a channel."""
    described = description(upload)
    place = described.find(AV1C) + len(AV1C) + 2
    return AV1C in described and bool(described[place : place + 1]) and bool(described[place] & HIGH_BIT_DEPTH)


def _of_avif(upload: bytes) -> tuple[int, ...] | None:
    described = description(upload)
    place = described.find(COLR) + len(COLR)
    return PAIR.unpack_from(described, place) if COLR in described and place + PAIR.size <= len(described) else None


def _of_png(upload: bytes) -> tuple[int, ...] | None:
    place = len(SIGNATURE)
    for _ in range(MAX_CHUNKS):
        if place + CHUNK.size > len(upload):
            break
        length, kind = CHUNK.unpack_from(upload, place)
        place += CHUNK.size
        if kind == b"cICP" and length >= 2:
            return tuple(upload[place : place + 2])
        if kind == b"IDAT":
            break
        place += length + CRC.size
    return None
