"""Colours are what they look like: profiles are converted to sRGB, and those of no use ignored."""

import random
import struct
import tracemalloc
from time import process_time

import numpy as np
import pytest
from pictures import noise, png, png_chunk, quarters, saved
from PIL import Image, ImageCms
from profiles import ADOBE_RGB, DISPLAY_P3, SRGB, cmyk_profile, grey_profile, profile, rgb_profile, through

from serving.imaging.colour import CONVERSIONS, MAX_CACHED, MAX_PROFILE_BYTES, ConversionCache, to_srgb
from serving.imaging.decoding import PixelBudget, decode, read_header
from serving.imaging.embedded_profiles import MAX_GIF_BLOCKS, read_profile
from serving.imaging.profiles import find_profile

COLOUR = (180, 120, 60)
FINE = {
    "JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}, "AVIF": {"quality": 100},
    "HEIF": {"quality": 100},
}  # fmt: skip
WITH_PROFILE = ("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF")
P3, ADOBE = rgb_profile(DISPLAY_P3, 2.2), rgb_profile(ADOBE_RGB, 2.2)


def read(upload, min_side=0):
    return decode(read_header(upload, PixelBudget(50_000_000)), min_side)


def patch(colour=COLOUR, mode="RGB"):
    return Image.new(mode, (32, 32), colour)


@pytest.mark.parametrize("kind", WITH_PROFILE)
@pytest.mark.parametrize(("matrix", "icc"), [(DISPLAY_P3, P3), (ADOBE_RGB, ADOBE)], ids=["Display P3", "Adobe RGB"])
def test_a_profile_is_converted_to_srgb_in_every_format_that_carries_one(kind, matrix, icc):
    decoded = read(saved(patch(), kind, icc_profile=icc, **FINE.get(kind, {})))

    assert decoded.steps == ("srgb",)
    np.testing.assert_allclose(decoded.image.getpixel((9, 9)), through(matrix, 2.2, COLOUR), atol=4)


def bmp_with_profile(icc):
    """Return a BMP with Windows' header of version 5, the one in which a profile may be named."""
    pixels = bytes(reversed(COLOUR)) * 1024
    head = struct.pack("<IiiHHIIiiII", 124, 32, 32, 1, 24, 0, len(pixels), 0, 0, 0, 0) + bytes(16) + b"DEBM" + bytes(48)
    head += struct.pack("<4I", 4, 124 + len(pixels), len(icc), 0)
    return b"BM" + struct.pack("<IHHI", 138 + len(pixels) + len(icc), 0, 0, 138) + head + pixels + icc


def gif_with_profile(icc):
    blocks = [icc[start : start + 255] for start in range(0, len(icc), 255)]
    extension = b"!\xff\x0bICCRGBG1012" + b"".join(bytes([len(block)]) + block for block in blocks) + b"\0"
    return saved(patch(), "GIF").replace(b",", extension + b",", 1)  # a comma begins the image


@pytest.mark.parametrize("make", [bmp_with_profile, gif_with_profile])
def test_the_profile_of_a_bmp_or_a_gif_is_converted_though_pillow_does_not_read_it(make):
    decoded = read(make(P3))

    assert decoded.steps == ("srgb",)
    np.testing.assert_allclose(decoded.image.getpixel((9, 9)), through(DISPLAY_P3, 2.2, COLOUR), atol=4)


def test_a_gif_whose_profile_has_a_million_blocks_is_read_without_them():
    upload = gif_with_profile(b"x").replace(b"\x01x", b"\x01x" * 1_000_000)

    assert len(read_profile("GIF", upload)) == MAX_GIF_BLOCKS
    assert read(upload).steps == ("profile-ignored",)


@pytest.mark.parametrize("make", [bmp_with_profile, gif_with_profile])
def test_a_damaged_profile_of_a_bmp_or_a_gif_is_ignored(make):
    decoded = read(make(P3[:200]))

    assert decoded.steps == ("profile-ignored",)
    np.testing.assert_allclose(decoded.image.getpixel((9, 9)), COLOUR, atol=1)


@pytest.mark.parametrize(
    "icc",
    [
        pytest.param(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(), id="LittleCMS's sRGB"),
        pytest.param(b"", id="empty"),
    ],
)
def test_an_srgb_profile_changes_nothing(icc):
    image = noise()

    decoded = read(saved(image, "PNG", icc_profile=icc))

    assert decoded.steps == ()
    assert decoded.image.tobytes() == image.tobytes()


def test_an_srgb_profile_of_a_grey_image_changes_nothing():
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = Image.frombytes("L", (16, 16), bytes(range(256)))

    decoded = read(saved(image, "JPEG", quality=100, icc_profile=icc))

    assert decoded.steps == ()
    assert decoded.image.mode == "L"


@pytest.mark.parametrize("icc", [grey_profile(1.0), rgb_profile(SRGB, 1.0)], ids=["grey profile", "RGB profile"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_a_linear_grey_image_becomes_lighter_and_stays_grey(kind, icc):
    decoded = read(saved(patch(55, "L"), kind, icc_profile=icc))

    assert (decoded.image.mode, decoded.steps) == ("L", ("srgb",))
    assert decoded.image.getpixel((9, 9)) == pytest.approx(through(SRGB, 1.0, (55, 55, 55))[0], abs=2)


@pytest.mark.parametrize(
    ("kind", "mode", "steps"),
    [
        ("WEBP", "L", ("srgb",)),
        ("WEBP", "LA", ("srgb", "flattened")),
        ("AVIF", "LA", ("srgb", "flattened")),
        ("HEIF", "LA", ("srgb", "flattened")),
    ],
)
def test_a_grey_profile_counts_where_a_decoder_gives_a_grey_image_in_colours(kind, mode, steps):
    image = Image.new("L", (32, 32), 55)
    if mode == "LA":
        image.putalpha(Image.new("L", (32, 32), 0))
        image.paste((55, 255), (0, 0, 32, 16))

    decoded = read(saved(image, kind, icc_profile=grey_profile(1.0)))

    assert (decoded.image.mode, decoded.steps) == ("L", steps)
    assert decoded.image.getpixel((9, 9)) == pytest.approx(through(SRGB, 1.0, (55, 55, 55))[0], abs=2)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_a_cmyk_profile_says_what_the_inks_look_like(kind):
    icc = cmyk_profile((150, 200, 60))
    lab = Image.new("LAB", (1, 1), (150, 200, 60))
    expected = lab.convert("RGB").getpixel((0, 0))

    decoded = read(saved(patch((255, 0, 0, 0), "CMYK"), kind, icc_profile=icc, **FINE.get(kind, {})))

    assert decoded.steps == ("srgb",)
    np.testing.assert_allclose(decoded.image.getpixel((9, 9)), expected, atol=6)


def test_colours_are_converted_before_alpha_is_laid_on_white():
    image = patch((*COLOUR, 128), "RGBA")

    decoded = read(saved(image, "PNG", icc_profile=P3))

    assert decoded.steps == ("srgb", "flattened")
    mixed = through(DISPLAY_P3, 2.2, COLOUR) * 128 / 255 + 127
    np.testing.assert_allclose(decoded.image.getpixel((9, 9)), mixed, atol=2)


def test_a_scaled_photo_has_the_same_colours():
    decoded = read(saved(Image.new("RGB", (1200, 900), COLOUR), "JPEG", icc_profile=P3, **FINE["JPEG"]), 256)

    assert decoded.image.size == (600, 450)
    np.testing.assert_allclose(decoded.image.getpixel((9, 9)), through(DISPLAY_P3, 2.2, COLOUR), atol=2)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize(
    "icc",
    [
        pytest.param(b"no profile at all", id="text"),
        pytest.param(P3[:200], id="truncated"),
        pytest.param(P3.replace(b"acsp", b"none"), id="no signature"),
        pytest.param(P3.replace(b"RGB ", b"HSV "), id="another colour space"),
        pytest.param(rgb_profile(DISPLAY_P3, 2.2, b"link"), id="device link"),
        pytest.param(rgb_profile(DISPLAY_P3, 2.2, b"nmcl"), id="named colours"),
        pytest.param(profile(b"RGB ", b"XYZ ", {}), id="no tags"),
        pytest.param(grey_profile(1.8), id="of grey images"),
        pytest.param(cmyk_profile((0, 128, 128)), id="of CMYK images"),
    ],
)
def test_a_profile_of_no_use_is_ignored_and_said_so(kind, icc):
    decoded = read(saved(quarters(), kind, icc_profile=icc, **FINE.get(kind, {})))

    assert decoded.steps == ("profile-ignored",)
    assert decoded.image.getpixel((10, 6)) == pytest.approx((200, 40, 40), abs=3)


def test_a_profile_over_the_limit_is_ignored_without_being_read():
    large = P3 + bytes(MAX_PROFILE_BYTES)

    image, steps = to_srgb(patch(), {"icc_profile": large})

    assert steps == ("profile-ignored",)
    assert image.getpixel((0, 0)) == COLOUR


def test_a_hostile_profile_costs_little_time_and_memory():
    rng = random.Random("damage to a profile")  # the same on every run
    seeds = [P3, grey_profile(2.0), cmyk_profile((1, 2, 3))]
    start = process_time()
    for _ in range(1000):
        damaged = bytearray(rng.choice(seeds))
        for _ in range(rng.choice((1, 4, 16))):
            damaged[rng.randrange(len(damaged))] = rng.choice((0, 255, rng.randrange(256)))
        mode = rng.choice(("RGB", "L", "CMYK"))

        image, steps = to_srgb(Image.new(mode, (4, 4)), {"icc_profile": bytes(damaged)})

        assert steps in ((), ("srgb",), ("profile-ignored",))
        assert image.mode in ("RGB", "L") or steps == ("profile-ignored",)
    assert process_time() - start < 60


def test_the_cache_of_profiles_is_bounded():
    cache = ConversionCache(3)

    for gamma in range(10):
        assert cache.get(rgb_profile(SRGB, 1 + gamma / 10), "RGB").usable

    assert len(cache) == 3
    assert len(CONVERSIONS) <= MAX_CACHED


def test_a_profile_is_prepared_once():
    cache = ConversionCache(2)

    assert cache.get(P3, "RGB") is cache.get(bytes(P3), "RGB")


def linear_png(*chunks):
    return png(1, 1, 8, 2, b"\0\x37\x37\x37", *chunks)


GAMA, CHRM, PNG_SRGB = b"gAMA", b"cHRM", png_chunk(b"sRGB", b"\0")
SRGB_CHUNK = png_chunk(CHRM, struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000))
P3_CHUNK = png_chunk(CHRM, struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000))


@pytest.mark.parametrize(
    ("chunks", "steps"),
    [
        pytest.param([png_chunk(GAMA, struct.pack(">I", 45_455))], (), id="sRGB's gamma"),
        pytest.param([png_chunk(GAMA, struct.pack(">I", 45_000))], (), id="sRGB's gamma, rounded"),
        pytest.param([png_chunk(GAMA, struct.pack(">I", 45_455)), SRGB_CHUNK], (), id="and its primaries"),
        pytest.param([png_chunk(GAMA, struct.pack(">I", 100_000)), PNG_SRGB], (), id="an sRGB chunk comes first"),
        pytest.param([png_chunk(GAMA, struct.pack(">I", 0))], (), id="gamma 0"),
        pytest.param([png_chunk(CHRM, bytes(32))], (), id="no primaries"),
        pytest.param([png_chunk(GAMA, struct.pack(">I", 100_000))], ("srgb",), id="linear"),
        pytest.param([P3_CHUNK], ("srgb",), id="Display P3"),
    ],
)
def test_gamma_and_primaries_of_a_png_count_where_they_clearly_differ(chunks, steps):
    decoded = read(linear_png(*chunks))

    assert decoded.steps == steps


def test_a_linear_png_is_lighter_than_its_levels_say():
    decoded = read(linear_png(png_chunk(GAMA, struct.pack(">I", 100_000))))

    np.testing.assert_allclose(decoded.image.getpixel((0, 0)), through(SRGB, 1.0, (0x37,) * 3), atol=1)


def test_primaries_become_the_profile_that_has_them():
    decoded = read(png(1, 1, 8, 2, b"\0" + bytes(COLOUR), P3_CHUNK))

    expected = through(DISPLAY_P3, 2.2, COLOUR)  # whose curve is nearly sRGB's
    np.testing.assert_allclose(decoded.image.getpixel((0, 0)), expected, atol=6)


@pytest.mark.parametrize(
    ("primaries", "transfer", "found"),
    [(1, 13, False), (12, 13, True), (9, 1, True), (12, 16, False), (77, 1, False)],
)
def test_a_heics_colours_are_found_without_a_profile(primaries, transfer, found):
    info = {"nclx_profile": {"color_primaries": primaries, "transfer_characteristics": transfer}}

    assert bool(find_profile(info)) is found


def test_converting_takes_no_more_memory_than_a_few_images():
    image = noise(800, 600)
    tracemalloc.start()

    to_srgb(image, {"icc_profile": P3})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 5_000_000
