"""Read the ICC profiles that BMP and GIF files embed, which Pillow does not read."""

import struct

GIF_PROFILE = b"\x21\xff\x0bICCRGBG1012"  # the extension with a profile in blocks, each after a byte with its length
MAX_GIF_BLOCKS = 12_000  # of up to 255 bytes: those of the largest profile that is used
BMP_PROFILE = struct.Struct("<14xI52x4s52x2I")  # size of the header, colour space; the profile's place and size
BMP_HEADER, BMP_HEADER_SIZE = 14, 124  # where the header begins, and the size of one that may have a profile
EMBEDDED = b"DEBM"  # the colour space of a BMP with a profile: PROFILE_EMBEDDED, little-endian


def read_profile(kind: str | None, upload: bytes) -> bytes:
    """Return the profile that a BMP or a GIF embeds; empty if it has none, and for other formats.

    kind: Pillow's name of the format.
    """
    return _of_bmp(upload) if kind == "BMP" else _of_gif(upload) if kind == "GIF" else b""


def _of_bmp(upload: bytes) -> bytes:
    if len(upload) < BMP_PROFILE.size:
        return b""
    header_size, space, place, size = BMP_PROFILE.unpack_from(upload)
    start = BMP_HEADER + place
    return upload[start : start + size] if (header_size, space) == (BMP_HEADER_SIZE, EMBEDDED) else b""


def _of_gif(upload: bytes) -> bytes:
    blocks: list[memoryview] = []
    rest = memoryview(upload.partition(GIF_PROFILE)[2])
    while rest and rest[0] and len(blocks) < MAX_GIF_BLOCKS:
        blocks.append(rest[1 : rest[0] + 1])
        rest = rest[rest[0] + 1 :]
    return b"".join(blocks)
