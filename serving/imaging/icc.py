"""Judge whether LittleCMS converts by an ICC profile quickly, from the sizes of the profile's tables."""

import math
import struct

MAX_TAGS = 64  # real profiles have up to 30
MAX_CURVE_ENTRIES = 4_096
MAX_GRID_ENTRIES = 260_000  # of a table of colours: a press's have 17^4 x 3, those of RGB up to 33^3 x 3
MAX_INKS, XYZ_OR_LAB = 4, 3  # channels that a table may take, and those it must give

HEADER_SIZE = 128
COUNT, TAG = struct.Struct(">I"), struct.Struct(">4sII")
# What LittleCMS reads to convert from a profile. It evaluates a pipeline of D2B0 with as many steps as that has.
CURVES = (b"rTRC", b"gTRC", b"bTRC", b"kTRC")
TABLES = (b"A2B0", b"A2B1", b"A2B2")
PIPELINES = tuple(direction + place for direction in (b"D2B", b"B2D") for place in (b"0", b"1", b"2", b"3"))
PIPELINE_TYPE = b"mpet"

LUT = struct.Struct(">8x3B")  # channels in, channels out, grid points of a side (ICC.1:2022, sections 10.10 and 10.11)
LUT16_CURVES = struct.Struct(">48x2H")  # entries of each curve in, and of each out
MAB = struct.Struct(">8x2B2x5I")  # channels; offsets of B curves, matrix, M curves, grid, A curves (section 10.12)
MAB_GRID = struct.Struct(">16s")  # grid points of each side
CURVE_HEAD = struct.Struct(">4s4xI")
PARAMETERS = (1, 3, 4, 5, 7)  # of a parametric curve, by its function (section 10.18)


def is_quick(profile: bytes) -> bool:
    """Whether a profile has no more and no larger tables than real ones have, so that no step takes over 60 ms or so.

    A press's profile takes 40 ms, and an RGB one with a table 20 ms: LittleCMS makes a grid of its own of each.
    """
    try:
        return all(_is_quick_tag(name, content) for name, content in _tags(profile))
    except (struct.error, ValueError):
        return False


def _tags(profile: bytes) -> list[tuple[bytes, bytes]]:
    """Return names and contents; raises ValueError and struct.error."""
    (count,) = COUNT.unpack_from(profile, HEADER_SIZE)
    start = HEADER_SIZE + COUNT.size + TAG.size * count
    if count > MAX_TAGS:
        raise ValueError(f"{count} tags")
    tags = []
    for place in range(count):
        name, offset, size = TAG.unpack_from(profile, HEADER_SIZE + COUNT.size + TAG.size * place)
        if offset < start or offset + size > len(profile):
            raise ValueError("a tag is outside the profile")
        tags.append((name, profile[offset : offset + size]))
    return tags


def _is_quick_tag(name: bytes, content: bytes) -> bool:
    if name in PIPELINES or content.startswith(PIPELINE_TYPE):
        return False
    if name in CURVES:
        return _curve_size(content, 0) > 0
    return name not in TABLES or _is_quick_table(content)


def _is_quick_table(content: bytes) -> bool:
    kind = content[:4]
    if kind == b"mAB ":
        return _is_quick_mab(content)
    inputs, outputs, side = LUT.unpack_from(content)
    entries = max(LUT16_CURVES.unpack_from(content)) if kind == b"mft2" else 0
    known = kind in (b"mft1", b"mft2") and entries <= MAX_CURVE_ENTRIES
    return known and _is_quick_grid(inputs, outputs, [side] * inputs)


def _is_quick_mab(content: bytes) -> bool:
    inputs, outputs, b_curves, _, m_curves, grid, a_curves = MAB.unpack_from(content)
    for place, count in ((b_curves, outputs), (m_curves, outputs), (a_curves, inputs)):
        for _ in range(min(count, MAX_INKS) if place else 0):
            place += _curve_size(content, place)
    sides = MAB_GRID.unpack_from(content, grid)[0][:inputs] if grid else b""
    return _is_quick_grid(inputs, outputs, sides)


def _is_quick_grid(inputs: int, outputs: int, sides: list[int] | bytes) -> bool:
    return inputs <= MAX_INKS and outputs == XYZ_OR_LAB and math.prod(sides) * outputs <= MAX_GRID_ENTRIES


def _curve_size(content: bytes, start: int) -> int:
    """Return the bytes that a curve takes, with its padding to four; raises ValueError and struct.error."""
    kind: bytes
    number: int
    kind, number = CURVE_HEAD.unpack_from(content, start)
    if kind == b"curv" and number <= MAX_CURVE_ENTRIES:
        size = 2 * number
    elif kind == b"para" and number >> 16 < len(PARAMETERS):
        size = 4 * PARAMETERS[number >> 16]
    else:
        raise ValueError("no curve of usual size")
    return (CURVE_HEAD.size + size + 3) // 4 * 4
