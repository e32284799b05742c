"""HEIC: its decoder turns an image as the container says, and hides what EXIF says."""

TURNS = (b"irot", b"imir")  # the boxes of a rotation and of a mirroring (ISO/IEC 23008-12, section 6.5)


def turns_itself(upload: bytes) -> bool:
    """Return whether the container has an image turned; where it is silent, EXIF's orientation stands."""
    place = upload.find(b"meta")  # the box that describes the images; four bytes before its name have its length
    described = upload[place : place - 4 + int.from_bytes(upload[max(0, place - 4) : max(0, place)], "big")]
    return any(turn in described for turn in TURNS)
