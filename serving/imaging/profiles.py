"""The colour profile of a file: embedded (ICC), or made of the few figures with which PNG and HEIC describe colours."""

import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

SRGB_GAMMA = 1 / 2.2  # as PNG files write it
GAMMA_TOLERANCE = 0.05  # of a PNG's gamma: a smaller difference is rounding
XY_TOLERANCE = 0.01  # of chromaticities: the same
SRGB_XY = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)  # x and y of white, red, green and blue
NCLX_XY = {
    9: (0.3127, 0.329, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046),  # BT.2020
    12: (0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),  # Display P3
}  # by ITU-T H.273, table 2
NCLX_LIKE_SRGB = 1, 2, 5, 6  # sRGB's primaries, those that are not said, and those of older video: much the same
NCLX_NOT_SAID = 2  # a transfer
NCLX_TRANSFERS = (1, 6, 13, 14, 15)  # table 3: sRGB's, and those of video, which is shown like it; not those of HDR

# The curve of a profile as in ICC.1:2022, section 10.18: the function's type and its parameters.
SRGB_CURVE = (3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
D50 = np.array([0.9642, 1.0, 0.8249])  # the white that profiles relate to
HEADER = struct.Struct(">I4xI4s4s4s12x4s28x12s48x")
TAG = struct.Struct(">4sII")

Curve = tuple[int, *tuple[float, ...]]
Matrix = NDArray[np.float64]


def find_profile(info: Mapping[Any, Any]) -> bytes:
    """Return the profile that a file's info embeds or describes; empty where its colours are taken for sRGB."""
    embedded = info.get("icc_profile")
    if embedded:
        return bytes(embedded)
    if nclx := info.get("nclx_profile"):
        xy = NCLX_XY.get(nclx.get("color_primaries", 0))
        return make_profile(xy, SRGB_CURVE) if xy and nclx.get("transfer_characteristics") in NCLX_TRANSFERS else b""
    if "srgb" in info:
        return b""
    if "gamma" in info or "chromaticity" in info:
        return _of_png(info.get("gamma", SRGB_GAMMA), info.get("chromaticity", SRGB_XY))
    return b""


def is_unknown_coding(info: Mapping[Any, Any]) -> bool:
    """Whether a file's info describes colours by figures that find_profile cannot use, such as those of HDR."""
    nclx = info.get("nclx_profile")
    if not nclx or info.get("icc_profile"):
        return False
    primaries, transfer = nclx.get("color_primaries", 0), nclx.get("transfer_characteristics", 0)
    known = transfer in NCLX_TRANSFERS and primaries in NCLX_XY
    return not (known or (primaries in NCLX_LIKE_SRGB and transfer in (NCLX_NOT_SAID, *NCLX_TRANSFERS)))


@lru_cache(maxsize=16)
def make_profile(xy: tuple[float, ...], curve: Curve) -> bytes:
    """Return an ICC profile of RGB. xy: of white, red, green and blue. Raises ValueError and LinAlgError.

    The columns of its matrix are the primaries in XYZ, scaled so that together they make the white, adapted to D50.
    """
    white, *primaries = (_xyz(x, y) for x, y in zip(xy[::2], xy[1::2], strict=True))
    columns = np.stack(primaries, axis=1)
    cone = np.diag((BRADFORD @ D50) / (BRADFORD @ white))
    matrix = np.linalg.inv(BRADFORD) @ cone @ BRADFORD @ (columns * np.linalg.solve(columns, white))
    function, *parameters = curve
    trc = b"para" + struct.pack(">4xHxx", function) + _fixed(*parameters)
    tags = {b"wtpt": _xyz_tag(D50), b"rTRC": trc, b"gTRC": trc, b"bTRC": trc}
    tags |= {name: _xyz_tag(matrix[:, place]) for place, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))}
    place = HEADER.size + 4 + TAG.size * len(tags)
    table, contents = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += TAG.pack(name, place + len(contents), len(content))
        contents += content
    size = place + len(contents)
    return HEADER.pack(size, 0x0420_0000, b"mntr", b"RGB ", b"XYZ ", b"acsp", _fixed(*D50)) + table + contents


def _of_png(gamma: float, xy: tuple[float, ...]) -> bytes:
    """Return the profile of a PNG's gAMA and cHRM chunks; empty where they say sRGB or nothing sensible."""
    odd_gamma = abs(gamma / SRGB_GAMMA - 1) > GAMMA_TOLERANCE
    odd_colours = max(abs(one - other) for one, other in zip(xy, SRGB_XY, strict=True)) > XY_TOLERANCE
    if not (odd_gamma or odd_colours) or gamma <= 0:
        return b""
    try:
        return make_profile(tuple(xy), (0, 1 / gamma) if odd_gamma else SRGB_CURVE)
    except (ValueError, ArithmeticError, struct.error, np.linalg.LinAlgError):
        return b""


def _xyz(x: float, y: float) -> Matrix:
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _fixed(*values: float) -> bytes:
    """Return numbers as s15Fixed16Number."""
    return struct.pack(f">{len(values)}i", *(round(value * 65_536) for value in values))


def _xyz_tag(values: Matrix) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(*values.tolist())
