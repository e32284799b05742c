"""Profiles that would take long to convert by are told by the size of their tables."""

import struct
from time import process_time

import pytest
from PIL import Image
from profiles import (
    DISPLAY_P3,
    WHITE,
    cmyk_profile,
    colour_table,
    curve,
    grey_profile,
    pipeline,
    profile,
    rgb_profile,
    table_16,
)

from serving.imaging.colour import ConversionCache, to_srgb
from serving.imaging.icc import MAX_CURVE_ENTRIES, MAX_TAGS, is_quick
from serving.imaging.profiles import SRGB_CURVE, SRGB_XY, make_profile

PARAMETRIC = b"para\0\0\0\0" + struct.pack(">Hxx7i", 4, *(round(65_536 * one) for one in (2.4, 1, 0, 1, 0, 0, 0)))
P3 = rgb_profile(DISPLAY_P3, 2.2)


def sampled(entries):
    return (
        b"curv\0\0\0\0" + struct.pack(">I", entries) + bytes(range(256)) * (entries // 128) + bytes(entries % 128 * 2)
    )


def of_table(content, space=b"RGB ", tag=b"A2B0"):
    return profile(space, b"Lab ", {b"wtpt": WHITE, tag: content})


def of_tags(count):
    return profile(b"RGB ", b"XYZ ", {b"%04d" % place: WHITE for place in range(count)})


@pytest.mark.parametrize(
    "icc",
    [
        pytest.param(P3, id="RGB"),
        pytest.param(grey_profile(2.2), id="grey"),
        pytest.param(cmyk_profile((1, 2, 3)), id="CMYK"),
        pytest.param(make_profile(SRGB_XY, SRGB_CURVE), id="curves of their function"),
        pytest.param(profile(b"GRAY", b"XYZ ", {b"kTRC": sampled(MAX_CURVE_ENTRIES)}), id="a long curve"),
        pytest.param(of_table(colour_table(3, 33, PARAMETRIC)), id="a table of RGB"),
        pytest.param(of_table(colour_table(4, 17, sampled(256)), b"CMYK"), id="a table of CMYK"),
        pytest.param(of_table(table_16(4, 17, 4096), b"CMYK"), id="a table of 16 bits"),
        pytest.param(of_tags(MAX_TAGS), id="many tags"),
        pytest.param(of_table(table_16(3, 50, 4096), tag=b"B2A0"), id="a large table to the device, which is not read"),
    ],
)
def test_real_profiles_are_quick(icc):
    assert is_quick(icc)


@pytest.mark.parametrize(
    "icc",
    [
        pytest.param(of_table(pipeline(1), tag=b"D2B0"), id="a pipeline"),
        pytest.param(of_table(pipeline(1)), id="a pipeline by another name"),
        pytest.param(of_table(pipeline(1), tag=b"D2B3"), id="of another intent"),
        pytest.param(of_table(pipeline(1), tag=b"B2D0"), id="to the device"),
        pytest.param(profile(b"GRAY", b"XYZ ", {b"kTRC": sampled(MAX_CURVE_ENTRIES + 1)}), id="a longer curve"),
        pytest.param(profile(b"GRAY", b"XYZ ", {b"kTRC": WHITE}), id="no curve"),
        pytest.param(profile(b"GRAY", b"XYZ ", {b"kTRC": b"para\0\0\0\0\0\5\0\0"}), id="an unknown function"),
        pytest.param(of_table(colour_table(3, 45, PARAMETRIC)), id="a large table of RGB"),
        pytest.param(of_table(colour_table(4, 18, PARAMETRIC), b"CMYK"), id="a large table of CMYK"),
        pytest.param(of_table(colour_table(5, 2, PARAMETRIC)), id="five inks"),
        pytest.param(of_table(colour_table(3, 2, sampled(5000))), id="long curves of a table"),
        pytest.param(of_table(table_16(3, 2, 5000)), id="long curves of a table of 16 bits"),
        pytest.param(of_table(table_16(3, 45, 16)), id="a large table of 16 bits"),
        pytest.param(of_table(WHITE), id="no table"),
        pytest.param(of_table(table_16(3, 2, 16)[:40]), id="a short table"),
        pytest.param(of_tags(MAX_TAGS + 1), id="more tags"),
        pytest.param(P3[:-40], id="a tag outside"),
        pytest.param(P3[:200], id="half a table of tags"),
        pytest.param(P3.replace(b"wtpt\0\0", b"wtpt\xff\xff"), id="a tag far outside"),
        pytest.param(P3.replace(b"wtpt" + struct.pack(">I", 216), b"wtpt" + bytes(4)), id="a tag in the header"),
        pytest.param(b"", id="empty"),
    ],
)
def test_others_are_not(icc):
    assert not is_quick(icc)


def test_a_pipeline_of_many_steps_is_ignored_at_once():
    icc = profile(
        b"RGB ", b"XYZ ", {b"D2B0": pipeline(60_000), b"rTRC": curve(1), b"gTRC": curve(1), b"bTRC": curve(1)}
    )
    start = process_time()

    _, steps = to_srgb(Image.new("RGB", (4, 4)), {"icc_profile": icc})

    assert steps == ("profile-ignored",)
    assert process_time() - start < 1  # LittleCMS would take over a minute


@pytest.mark.parametrize(
    ("icc", "mode"),
    [
        (of_table(colour_table(3, 33, PARAMETRIC)), "RGB"),
        (of_table(colour_table(4, 17, PARAMETRIC), b"CMYK"), "CMYK"),
        (of_table(table_16(4, 17, 4096), b"CMYK"), "CMYK"),
    ],
    ids=["RGB", "CMYK", "CMYK, 16 bits"],
)
def test_the_slowest_profile_that_is_used_is_usable(icc, mode):
    assert ConversionCache(1).get(icc, mode).usable
