"""Colour profiles, written byte by byte."""

import struct
from collections.abc import Mapping

import numpy as np

# Columns: the primaries in XYZ under D50, as the profiles of these names have them.
DISPLAY_P3 = ((0.5151187, 0.2919778, 0.1571035), (0.2411892, 0.6922441, 0.0665668), (-0.0010505, 0.0418791, 0.7840713))
ADOBE_RGB = ((0.6097559, 0.2052401, 0.1492240), (0.3111242, 0.6256560, 0.0632197), (0.0194811, 0.0608902, 0.7448387))
SRGB = ((0.4360747, 0.3850649, 0.1430804), (0.2225045, 0.7168786, 0.0606169), (0.0139322, 0.0971045, 0.7141733))
WHITE = b"XYZ \0\0\0\0" + struct.pack(">iii", 63_190, 65_536, 54_061)


def profile(space: bytes, connection: bytes, tags: Mapping[bytes, bytes], kind: bytes = b"mntr") -> bytes:
    """Return a profile of a colour space with these tags."""
    start = 128 + 4 + 12 * len(tags)
    table, contents = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += name + struct.pack(">II", start + len(contents), len(content))
        contents += content + bytes(-len(content) % 4)
    head = struct.pack(">I4sI4s4s4s", start + len(contents), b"test", 0x02100000, kind, space, connection)
    head += bytes(12) + b"acsp" + bytes(28) + WHITE[8:]
    return head.ljust(128, b"\0") + table + contents


def curve(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"


def rgb_profile(matrix: tuple[tuple[float, ...], ...], gamma: float, kind: bytes = b"mntr") -> bytes:
    """Return the profile of an RGB space: its primaries as the columns of a matrix, and its gamma."""
    columns = np.array(matrix).T
    tags = {b"wtpt": WHITE, b"rTRC": curve(gamma), b"gTRC": curve(gamma), b"bTRC": curve(gamma)}
    for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True):
        tags[name] = b"XYZ \0\0\0\0" + struct.pack(">iii", *(round(value * 65_536) for value in column))
    return profile(b"RGB ", b"XYZ ", tags, kind)


def grey_profile(gamma: float) -> bytes:
    return profile(b"GRAY", b"XYZ ", {b"wtpt": WHITE, b"kTRC": curve(gamma)})


def cmyk_profile(ink: tuple[int, int, int]) -> bytes:
    """Return the profile of a press whose every ink is neutral, but for cyan's: full cyan has this Lab (8 bits)."""
    corners = []
    for cyan in (0, 1):
        for others in range(8):
            lightness = 255 - 85 * bin(others).count("1")
            corners.append(ink if cyan and not others else (0 if cyan else lightness, 128, 128))
    identity = bytes(range(256))
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + struct.pack(">9i", *(65_536 * (i % 4 == 0) for i in range(9)))
    table += 4 * identity + bytes(level for corner in corners for level in corner) + 3 * identity
    return profile(b"CMYK", b"Lab ", {b"wtpt": WHITE, b"A2B0": table}, b"prtr")


def colour_table(inputs: int, side: int, curve: bytes) -> bytes:
    """Return a table from device colours to XYZ or Lab (mAB) with every kind of step, each curve of it this one."""
    matrix = struct.pack(">12i", *(65_536 * (i in (0, 4, 8)) for i in range(12)))
    levels = np.random.default_rng(1).bytes(side**inputs * 3 * 2)
    grid = bytes([side] * inputs).ljust(16, b"\0") + b"\2\0\0\0" + levels + bytes(-len(levels) % 4)
    offsets, contents = [], b""
    for part in (3 * curve, matrix, 3 * curve, grid, inputs * curve):
        offsets.append(32 + len(contents))
        contents += part
    return b"mAB \0\0\0\0" + bytes([inputs, 3, 0, 0]) + struct.pack(">5I", *offsets) + contents


def table_16(inputs: int, side: int, entries: int) -> bytes:
    """Return a table from device colours to XYZ or Lab of 16 bits (mft2)."""
    matrix = struct.pack(">9i", *(65_536 * (i % 4 == 0) for i in range(9)))
    curve = np.linspace(0, 65_535, entries).astype(">u2").tobytes()
    levels = np.random.default_rng(1).bytes(side**inputs * 3 * 2)
    head = b"mft2\0\0\0\0" + bytes([inputs, 3, side, 0]) + matrix + struct.pack(">2H", entries, entries)
    return head + inputs * curve + levels + 3 * curve


def pipeline(steps: int) -> bytes:
    """Return a pipeline (mpet) whose every step is the same matrix."""
    matrix = b"matf\0\0\0\0" + struct.pack(">2H12f", 3, 3, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0.0001, 0, 0)
    where = struct.pack(">2I", 16 + 8 * steps, len(matrix))
    return b"mpet\0\0\0\0" + struct.pack(">2HI", 3, 3, steps) + where * steps + matrix


def through(matrix: tuple[tuple[float, ...], ...], gamma: float, colour: tuple[int, ...]) -> np.ndarray:
    """Return the sRGB levels of a colour of the RGB space with this matrix and gamma."""
    linear = np.linalg.inv(np.array(SRGB)) @ np.array(matrix) @ (np.array(colour) / 255) ** gamma
    linear = linear.clip(0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
