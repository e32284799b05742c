"""Read what Pillow leaves out about colours: coding of AVIF and PNG (ITU-T H.273), profiles of BMP and GIF."""

import struct

from serving.imaging.heic import description
from serving.imaging.png import CHUNK, CRC, SIGNATURE

COLR, AV1C = b"colrnclx", b"av1C"  # boxes of an AVIF
HIGH_BIT_DEPTH = 0x40  # in the third byte of av1C
PAIR = struct.Struct(">HH")
MAX_CHUNKS = 64  # of a PNG, before its pixels: cICP is among the first
GIF_PROFILE = b"\x21\xff\x0bICCRGBG1012"  # the extension of a GIF that holds a profile, in blocks behind their lengths
MAX_PROFILE_BLOCKS = 12_000  # of up to 255 bytes: those of the largest profile that is used
BMP_PROFILE = struct.Struct("<14xI52x4s52x2I")  # size of the header, colour space; the profile's place and size
BMP_HEADER, BMP_HEADER_SIZE = 14, 124  # where the header begins, and the bytes of one that tells of a profile
EMBEDDED = b"DEBM"  # the colour space of a BMP with a profile: PROFILE_EMBEDDED, little-endian

Coding = dict[str, int]


def read_coding(kind: str | None, upload: bytes) -> Coding:
    """Return primaries and transfer by the names that the decoder of HEIC gives them; empty where a file has none.

    kind: Pillow's name of the format.
    """
    pair = _of_avif(upload) if kind == "AVIF" else _of_png(upload) if kind == "PNG" else None
    return dict(zip(("color_primaries", "transfer_characteristics"), pair, strict=True)) if pair else {}


def read_profile(kind: str | None, upload: bytes) -> bytes:
    """Return the profile that a BMP or a GIF embeds; empty where there is none, and for other formats."""
    return _of_bmp(upload) if kind == "BMP" else _of_gif(upload) if kind == "GIF" else b""


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


def _of_bmp(upload: bytes) -> bytes:
    if len(upload) < BMP_PROFILE.size:
        return b""
    header_size, space, place, size = BMP_PROFILE.unpack_from(upload)
    start = BMP_HEADER + place
    return upload[start : start + size] if (header_size, space) == (BMP_HEADER_SIZE, EMBEDDED) else b""


def _of_gif(upload: bytes) -> bytes:
    blocks: list[memoryview] = []
    rest = memoryview(upload.partition(GIF_PROFILE)[2])
    while rest and rest[0] and len(blocks) < MAX_PROFILE_BLOCKS:
        blocks.append(rest[1 : rest[0] + 1])
        rest = rest[rest[0] + 1 :]
    return b"".join(blocks)
