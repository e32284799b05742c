"""HEIC: its decoder turns an image as the container says, and hides what EXIF says."""

TURNS = (b"irot", b"imir")  # the boxes of a rotation and of a mirroring (ISO/IEC 23008-12, section 6.5)


def turns_itself(upload: bytes) -> bool:
    """Return whether the container has an image turned; where it is silent, EXIF's orientation stands."""
    described = description(upload)
    return any(turn in described for turn in TURNS)


def description(upload: bytes) -> bytes:
    """Return the box that describes the images of a HEIC or an AVIF; empty where there is none."""
    place = upload.find(b"meta")  # four bytes before its name have its length
    return upload[place : place - 4 + int.from_bytes(upload[max(0, place - 4) : max(0, place)], "big")]
