"""Colours and levels that AVIF and PNG describe in figures, which Pillow does not tell."""

import struct
import zlib

import numpy as np
import pytest
from pictures import png, png_chunk, saved
from PIL import Image
from profiles import ADOBE_RGB, DISPLAY_P3, rgb_profile, through

from serving.imaging.coding import is_deep_avif
from serving.imaging.decoding import PixelBudget, decode, read_header
from serving.imaging.heic import description, turns_itself

COLOUR = (180, 120, 60)
P3, BT2020, BT709 = 12, 9, 1
SRGB, UNSAID, PQ, HLG, LINEAR = 13, 2, 16, 18, 8


def read(upload):
    return decode(read_header(upload, PixelBudget(1_000_000)))


def avif(primaries, transfer, **options):
    file = bytearray(saved(Image.new("RGB", (32, 32), COLOUR), "AVIF", quality=100, subsampling="4:4:4", **options))
    place = file.index(b"colrnclx") + 8
    file[place : place + 4] = struct.pack(">HH", primaries, transfer)
    return bytes(file)


def coded_png(primaries, transfer, *more):
    return png(32, 32, 8, 2, 32 * (b"\0" + bytes(COLOUR) * 32), *more, cicp(primaries, transfer))


def cicp(primaries, transfer):
    return png_chunk(b"cICP", bytes([primaries, transfer, 0, 1]))


def iccp(matrix):
    return png_chunk(b"iCCP", b"a\0\0" + zlib.compress(rgb_profile(matrix, 2.2)))


MAKERS = [avif, coded_png]
GAMA = png_chunk(b"gAMA", struct.pack(">I", 100_000))


@pytest.mark.parametrize("make", MAKERS)
def test_colours_of_display_p3_are_converted(make):
    decoded = read(make(P3, SRGB))

    assert decoded.steps == ("srgb",)
    np.testing.assert_allclose(decoded.image.getpixel((9, 9)), through(DISPLAY_P3, 2.2, COLOUR), atol=6)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(("primaries", "transfer"), [(BT709, SRGB), (BT709, 1), (2, UNSAID), (6, 6)])
def test_colours_that_are_like_srgb_are_left(make, primaries, transfer):
    decoded = read(make(primaries, transfer))

    assert decoded.steps == ()
    np.testing.assert_allclose(decoded.image.getpixel((9, 9)), COLOUR, atol=2)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(("primaries", "transfer"), [(BT2020, PQ), (BT2020, HLG), (BT709, LINEAR), (77, SRGB)])
def test_colours_of_hdr_and_unknown_ones_are_said_to_be_ignored(make, primaries, transfer):
    decoded = read(make(primaries, transfer))

    assert decoded.steps == ("profile-ignored",)
    np.testing.assert_allclose(decoded.image.getpixel((9, 9)), COLOUR, atol=2)


@pytest.mark.parametrize("older", [GAMA, png_chunk(b"sRGB", b"\0"), iccp(ADOBE_RGB), png_chunk(b"iCCP", b"damaged")])
def test_the_figures_of_a_png_come_before_its_older_chunks(older):
    assert read(coded_png(P3, SRGB, older)).steps == ("srgb",)
    assert read(coded_png(BT709, SRGB, older)).steps == ()


def test_the_profile_of_a_png_counts_where_its_figures_are_of_hdr():
    decoded = read(coded_png(BT2020, PQ, iccp(DISPLAY_P3)))

    assert decoded.steps == ("srgb",)
    np.testing.assert_allclose(decoded.image.getpixel((9, 9)), through(DISPLAY_P3, 2.2, COLOUR), atol=2)


def test_figures_in_the_pixels_or_cut_off_are_none():
    rows = 32 * (b"\0" + (cicp(P3, SRGB) * 6)[:96])

    assert read(png(32, 32, 8, 2, rows, png_chunk(b"tEXt", b"a\0" + cicp(P3, SRGB)))).steps == ()
    assert read(png(1, 1, 8, 2, b"\0\1\2\3", png_chunk(b"cICP", b"\x0c"))).steps == ()


def test_an_avif_says_its_depth():
    file = bytearray(avif(BT709, SRGB))
    place = file.index(b"av1C") + 6

    assert not is_deep_avif(bytes(file))
    assert read(bytes(file)).steps == ()
    file[place] |= 0x40  # which its pixels do not have, and no encoder here writes
    assert is_deep_avif(bytes(file))
    assert not is_deep_avif(bytes(file[:place]))
    assert not is_deep_avif(b"")


def box(kind, content, long=False):
    size = 8 + 8 * long + len(content)
    head = struct.pack(">I4sQ", 1, kind, size) if long else struct.pack(">I4s", size, kind)
    return head + content


TYPE, XMP = box(b"ftyp", b"heic"), box(b"uuid", b"<x:xmpmeta> irot </x:xmpmeta>")


@pytest.mark.parametrize("long", [False, True])
def test_the_description_of_a_heic_is_found_behind_text_with_its_name(long):
    described = box(b"meta", b"ispe irot", long)

    assert description(TYPE + XMP + described + box(b"mdat", b"meta")) == described
    assert turns_itself(TYPE + XMP + described)
    assert not turns_itself(TYPE + XMP + box(b"meta", b"ispe", long))


@pytest.mark.parametrize("rest", [
    b"", XMP, b"\0", b"\0\0\0\1meta", struct.pack(">I4sQ", 1, b"uuid", 0), struct.pack(">I4sQ", 1, b"uuid", 2**63),
    box(b"uuid", b"")[:6], struct.pack(">I4s", 0, b"mdat") + box(b"meta", b"irot"), box(b"free", b"") * 200,
])  # fmt: skip
def test_a_file_that_describes_no_images_has_no_description(rest):
    assert not turns_itself(TYPE + rest)


def test_a_box_without_a_size_goes_to_the_end():
    assert turns_itself(TYPE + struct.pack(">I4s", 0, b"meta") + b"irot")
