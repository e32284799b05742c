"""Judge JPEGs that end early: one that lacks its end marker alone is whole, as far as anyone can see."""

import io
import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

SOI, EOI = b"\xff\xd8", b"\xff\xd9"  # start and end of image
SCALE = 8  # at which a JPEG of a single scan is judged: a pixel for each block
LAST_SHARE = 1000  # of its blocks one in so many may be missing at the end, and always the last one
JUNK = bytes(range(1, 255)) * 2  # longer than a block; without the byte 255 that begins a marker
MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # in a scan: neither a stuffed byte nor a restart
STANDALONE = (0x01, *range(0xD0, 0xD9))  # markers without a length
SOS = 0xDA  # start of scan
COEFFICIENTS = 64


class Scan(NamedTuple):
    """The header of a scan. components: by identifier; first, last: of its coefficients; low: bits left out."""

    components: tuple[int, ...]
    first: int
    last: int
    low: int


def without_padding(upload: bytes) -> bytes:
    """Return a JPEG without the zeros at its end: in a download that broke off they stand for what is missing."""
    return upload.rstrip(b"\0") if upload.startswith(SOI) else upload


def lacks_only_its_end(upload: bytes) -> bool:
    """Return whether a JPEG that its decoder finds truncated lacks no more than a thousandth of its blocks, or one.

    It is decoded twice, with nothing and with junk in the place of what is missing: the two differ from the first
    missing block on. Of a progressive JPEG all scans must have begun as well, and it is the last that is judged so.
    """
    upload = upload.rstrip(b"\xff\0")
    scans = list(_scans(upload))
    with Image.open(io.BytesIO(upload), formats=["JPEG"]) as image:
        layers = getattr(image, "layer", [])  # identifier and sampling factors of each component
        if not _complete(scans, [layer[0] for layer in layers]):
            return False
        across, down = (max(layer[place] if len(layers) > 1 else 1 for layer in layers) for place in (1, 2))
        scale = SCALE if len(scans) == 1 and min(image.size) >= SCALE else 1
    pixels = 8 // scale
    as_is, with_junk = (_decode(upload + tail + EOI, scale) for tail in (b"", JUNK))
    difference = np.asarray(ImageChops.difference(as_is, with_junk)).reshape(as_is.height, as_is.width, -1)
    missing, blocks = _missing(difference.max(axis=-1) > 0, across * pixels, down * pixels)
    return missing <= max(1, blocks // LAST_SHARE)


def _scans(upload: bytes) -> Iterator[Scan]:
    """Yield the headers of the scans; ends where the file does."""
    place = len(SOI)
    while place + 4 <= len(upload):
        if upload[place] != 0xFF:
            return
        kind = upload[place + 1]
        if kind == 0xFF or kind in STANDALONE:
            place += 1 if kind == 0xFF else 2
            continue
        length = int.from_bytes(upload[place + 2 : place + 4], "big")
        content, place = upload[place + 4 : place + 2 + length], place + 2 + length
        if kind == SOS:
            count = content[0]
            first, last, approximation = content[1 + 2 * count : 4 + 2 * count]
            yield Scan(tuple(content[1 : 1 + 2 * count : 2]), first, last, approximation & 15)
            marker = MARKER.search(upload, place)
            place = marker.start() if marker else len(upload)


def _complete(scans: list[Scan], components: list[int]) -> bool:
    """Return whether the scans that have begun give every coefficient of every component with all its bits."""
    given: dict[int, set[int]] = {component: set() for component in components}
    for scan in scans:
        for component in scan.components:
            if scan.low == 0:
                given.setdefault(component, set()).update(range(scan.first, scan.last + 1))
    return all(len(given[component]) >= COEFFICIENTS for component in components)


def _decode(content: bytes, scale: int) -> Image.Image:
    """Decode a JPEG scaled down; of several scans the last is of brightness, which alone is decoded then."""
    image = Image.open(io.BytesIO(content), formats=["JPEG"])
    image.draft(None if scale > 1 else "L", (max(1, image.width // scale), max(1, image.height // scale)))
    image.load()
    return image


def _missing(differs: NDArray[np.bool_], across: int, down: int) -> tuple[int, int]:
    """Return the number of blocks, of across by down pixels, from the first that differs on, and that of all."""
    height, width = differs.shape
    columns, rows = -(-width // across), -(-height // down)
    lines = np.flatnonzero(differs.any(axis=1))
    if not lines.size:
        return 0, rows * columns
    row = int(lines[0]) // down
    column = int(np.flatnonzero(differs[row * down : (row + 1) * down].any(axis=0))[0]) // across
    return rows * columns - (row * columns + column), rows * columns
