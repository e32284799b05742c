"""HEIC: its decoder turns an image as the container says, and hides what EXIF says."""

import struct

BOX = struct.Struct(">I4s")  # size, its own eight bytes included, and kind (ISO/IEC 14496-12, section 4.2)
LONG_BOX, LONG_SIZE = 1, struct.Struct(">8xQ")  # the size that stands for one of 64 bits, behind the kind
MAX_BOXES = 100  # of a file, until that which describes its images: among the first three
TURNS = (b"irot", b"imir")  # the boxes of a rotation and of a mirroring (ISO/IEC 23008-12, section 6.5)


def turns_itself(upload: bytes) -> bool:
    """Return whether the container has an image turned; where it is silent, EXIF's orientation stands."""
    described = description(upload)
    return any(turn in described for turn in TURNS)


def description(upload: bytes) -> bytes:
    """Return the box that describes the images of a HEIC or an AVIF; empty where there is none.

    Text in a box before it, such as XMP's, may have the name of that box in it.
    """
    place = 0
    for _ in range(MAX_BOXES):
        if place + BOX.size > len(upload):
            break
        size, kind = BOX.unpack_from(upload, place)
        if size == LONG_BOX and place + LONG_SIZE.size <= len(upload):
            (size,) = LONG_SIZE.unpack_from(upload, place)
        if kind == b"meta" or size < BOX.size:  # of size 0: to the end of the file
            return upload[place : place + (size or len(upload))] if kind == b"meta" else b""
        place += size
    return b""
