"""Images of more than 8 bits a channel, and those of unusual channels: read rightly, or refused by the kind."""

import io
import re
import struct
import zlib

import numpy as np
import pillow_heif
import pytest
import tifffile
from pictures import png, png_chunk, saved
from PIL import Image
from profiles import grey_profile

from serving.errors import UnreadableImage
from serving.imaging.decoder import Job, run
from serving.imaging.decoding import PixelBudget, decode, read_header

Y, X = np.mgrid[0:32, 0:32]
RAMP = np.stack([X * 8, Y * 8, (X + Y) * 4], -1).astype(np.uint8)
GREY = RAMP[..., 0]
DEEP, DEEP_GREY = RAMP * np.uint16(257), GREY * np.uint16(257)
PLANES, DEEP_PLANES = RAMP.transpose(2, 0, 1), DEEP.transpose(2, 0, 1)
COMPRESSIONS = [None, "zlib"]


def read(upload):
    return decode(read_header(upload, PixelBudget(1_000_000)))


def tiff(pixels, photometric="rgb", **options):
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, photometric=photometric, metadata=None, **options)
    return file.getvalue()


def tiff_of_12_bits(levels):
    """Return a grey TIFF of an even width whose pixels have 12 bits."""
    bits = np.unpackbits(levels.astype(">u2").view(np.uint8).reshape(-1, 2), axis=1)[:, 4:]
    file = bytearray(tiff(levels, "minisblack"))
    start = int.from_bytes(file[file.index(struct.pack("<HHI", 273, 4, 1)) + 8 :][:4], "little")
    place = file.index(struct.pack("<HHI", 258, 3, 1)) + 8
    file[place : place + 2] = struct.pack("<H", 12)
    return bytes(file[:start]) + np.packbits(bits).tobytes()


def bmp(bits, masks, pixels):
    head = struct.pack("<IiiHHIIiiII", 40, 32, 32, 1, bits, 3, len(pixels), 0, 0, 0, 0) + struct.pack("<3I", *masks)
    return b"BM" + struct.pack("<IHHI", 14 + len(head) + len(pixels), 0, 0, 14 + len(head)) + head + pixels


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_16_bits_of_grey_whose_zero_is_white_are_not_inverted(compression, order):
    decoded = read(tiff(65_535 - DEEP_GREY, "miniswhite", compression=compression, byteorder=order))

    np.testing.assert_array_equal(np.asarray(decoded.image), GREY)
    assert decoded.steps == ("8-bit",)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("options", [{}, {"compression": "zlib", "predictor": True}, {"tile": (16, 16)}])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
@pytest.mark.parametrize("kind", ["unassalpha", "assocalpha", "unspecified"])
def test_16_bits_of_grey_with_transparency_are_read(order, options, photometric, kind):
    alpha = np.where(X < 16, 65_535, 13_107).astype(np.uint16)  # a fifth of it
    grey = 65_535 - DEEP_GREY if photometric == "miniswhite" else DEEP_GREY
    if kind == "assocalpha":  # the colour comes multiplied by it
        grey = (grey.astype(np.uint64) * alpha // 65_535).astype(np.uint16)
    pixels = np.stack([grey, alpha], -1)

    decoded = read(tiff(pixels, photometric, planarconfig="contig", extrasamples=[kind], byteorder=order, **options))

    seen = GREY if kind == "unspecified" else np.where(X < 16, GREY, 204 + GREY / 5)
    np.testing.assert_allclose(np.asarray(decoded.image), seen, atol=1.5)
    assert decoded.steps == ("8-bit",) + ("flattened",) * (kind != "unspecified")


def test_12_bits_of_grey_are_scaled():
    levels = (GREY.astype(np.uint16) << 4) | (GREY >> 4)

    decoded = read(tiff_of_12_bits(levels))

    np.testing.assert_array_equal(np.asarray(decoded.image), GREY)
    assert decoded.steps == ("8-bit",)


def rows(pixels):
    return b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)


DEEP_OPAQUE = np.full((32, 32, 1), 65_535, np.uint16)


@pytest.mark.parametrize("upload", [
    pytest.param(png(32, 32, 16, 2, rows(DEEP)), id="PNG, RGB"),
    pytest.param(png(32, 32, 16, 6, rows(np.concatenate([DEEP, DEEP_OPAQUE], -1))), id="PNG, RGBA"),
    pytest.param(tiff(DEEP), id="TIFF, RGB"),
    pytest.param(tiff(DEEP, byteorder=">"), id="TIFF, big-endian"),
    pytest.param(tiff(DEEP, compression="zlib"), id="TIFF, compressed"),
    pytest.param(tiff(DEEP_PLANES, planarconfig="separate", compression="zlib"), id="TIFF, planes, compressed"),
    pytest.param(tiff(np.concatenate([DEEP, DEEP_OPAQUE], -1), extrasamples=["unassalpha"]), id="TIFF, RGBA"),
    pytest.param(b"P6 32 32 65535\n" + DEEP.astype(">u2").tobytes(), id="PPM"),
])  # fmt: skip
def test_16_bits_of_colours_are_said_to_become_8(upload):
    decoded = read(upload)

    np.testing.assert_array_equal(np.asarray(decoded.image), RAMP)
    assert decoded.steps == ("8-bit",)


def test_16_bits_of_grey_with_transparency_are_said_to_become_8():
    pixels = np.stack([DEEP_GREY, DEEP_OPAQUE[..., 0]], -1)

    assert read(png(32, 32, 16, 4, rows(pixels))).steps == ("8-bit",)


@pytest.mark.parametrize("upload", [
    pytest.param(tiff(RAMP), id="TIFF"),
    pytest.param(tiff(PLANES, planarconfig="separate"), id="TIFF, planes"),
    pytest.param(b"P6 32 32 255\n" + RAMP.tobytes(), id="PPM"),
    pytest.param(saved(Image.fromarray(RAMP), "BMP"), id="BMP"),
])  # fmt: skip
def test_8_bits_are_not(upload):
    decoded = read(upload)

    np.testing.assert_array_equal(np.asarray(decoded.image), RAMP)
    assert decoded.steps == ()


def test_a_heic_of_10_bits_is_said_to_become_8():
    file = io.BytesIO()
    heif = pillow_heif.HeifFile()
    heif.add_frombytes("RGB;16", (32, 32), DEEP.tobytes())
    heif.save(file, quality=95)

    assert "8-bit" in read(file.getvalue()).steps


@pytest.mark.parametrize(("upload", "kind"), [
    pytest.param(
        tiff(DEEP_PLANES, planarconfig="separate"),
        "planar configuration 2 (a plane for each channel) with 16 and 16 and 16 bits a sample",
        id="planes of 16 bits",
    ),
    pytest.param(
        tiff(DEEP_PLANES, planarconfig="separate", tile=(32, 32)),
        "planar configuration 2 (a plane for each channel) with 16 and 16 and 16 bits a sample",
        id="tiles of 16 bits in planes",
    ),
    *(pytest.param(
        tiff(np.stack([GREY] * 2), "minisblack", planarconfig="separate", extrasamples=["unassalpha"], compression=way),
        "planar configuration 2 (a plane for each channel)",
        id=f"planes of grey and transparency, {way}",
    ) for way in COMPRESSIONS),
    *(pytest.param(
        tiff(np.stack([DEEP_GREY] * 2), "minisblack", planarconfig="separate", extrasamples=[1], compression=way),
        "planar configuration 2 (a plane for each channel) with 16 and 16 bits a sample",
        id=f"planes of 16 bits of grey and transparency, {way}",
    ) for way in COMPRESSIONS),
    pytest.param(
        tiff(np.stack([DEEP_GREY] * 3, -1), "minisblack", planarconfig="contig", extrasamples=["unassalpha", 0]),
        "photometric interpretation 1 (grey) with 16 and 16 and 16 bits a sample; extra samples",
        id="16 bits of grey, transparency and more",
    ),
    pytest.param(
        tiff(np.stack([GREY] * 2, -1), "miniswhite", planarconfig="contig", extrasamples=["unassalpha"]),
        "photometric interpretation 0 (grey, white is zero) with 8 and 8 bits a sample; extra samples",
        id="white is zero, and transparency",
    ),
    pytest.param(
        tiff(np.stack([GREY] * 5, -1), "separated", planarconfig="contig", extrasamples=["unassalpha"]),
        "photometric interpretation 5 (CMYK) with 8 and 8 and 8 and 8 and 8 bits a sample; extra samples",
        id="CMYK and transparency",
    ),
])  # fmt: skip
def test_a_tiff_that_would_be_read_wrongly_is_refused_by_its_kind(upload, kind):
    with pytest.raises(UnreadableImage, match=rf"^This kind of TIFF is unsupported: {re.escape(kind)}.* PNG\.$"):
        read(upload)


@pytest.mark.parametrize(("upload", "kind"), [
    (bmp(16, (0xF0F, 0xF0, 0xF), bytes(2048)), "16 bits a pixel with the masks F0F, F0, F"),
    (bmp(32, (0xFFFFF000, 0xFF, 0xFF), bytes(4096)), "32 bits a pixel with the masks FFFFF000, FF, FF"),
    (bmp(24, (0xFF, 0xFF00, 0xFF0000), bytes(3072)), "24 bits a pixel with the masks FF, FF00, FF0000"),
    (bmp(2, (0, 0, 0), bytes(256)), "2 bits a pixel"),
])  # fmt: skip
def test_a_bmp_of_unusual_masks_is_refused_by_its_kind(upload, kind):
    with pytest.raises(UnreadableImage, match=rf"^This kind of BMP is unsupported: {kind}\. Convert it"):
        read(upload)


@pytest.mark.parametrize("upload", [
    tiff(RAMP)[:2_000], tiff(DEEP_GREY, "minisblack")[:-9], bmp(16, (0xF800, 0x7E0, 0x1F), bytes(9)), b"BM" + bytes(20),
])  # fmt: skip
def test_a_file_that_is_only_cut_off_is_not_said_to_be_of_an_unusual_kind(upload):
    with pytest.raises(UnreadableImage, match="are not a complete image"):
        read(upload)


def jpeg_with(marker, bits):
    """Return a JPEG whose frame says that it is of this kind and has samples of so many bits."""
    upload = bytearray(saved(Image.fromarray(RAMP), "JPEG"))
    place = upload.index(b"\xff\xc0")
    upload[place + 1], upload[place + 4] = marker, bits
    return bytes(upload)


@pytest.mark.parametrize(("upload", "kind"), [
    (jpeg_with(0xC1, 12), "12 bits a sample"),
    (jpeg_with(0xC3, 8), "lossless"),
    (jpeg_with(0xC3, 16), "lossless"),
    (jpeg_with(0xC5, 8), "hierarchical"),
    (jpeg_with(0xF7, 8), "JPEG-LS"),
])  # fmt: skip
def test_a_jpeg_of_an_unusual_kind_is_refused_by_its_kind(upload, kind):
    with pytest.raises(UnreadableImage, match=rf"^This kind of JPEG is unsupported: {kind}\. Convert it to PNG"):
        read(upload)


def test_a_big_tiff_is_read_in_little_endian_order_and_refused_by_its_kind_in_the_other():
    little, big = (tiff(RAMP, bigtiff=True, byteorder=order) for order in "<>")

    np.testing.assert_array_equal(np.asarray(read(little).image), RAMP)
    with pytest.raises(UnreadableImage, match=r"^This kind of TIFF is unsupported: offsets of 64 bits \(BigTIFF"):
        read(big)


@pytest.mark.parametrize(("alpha", "level", "steps"), [
    (0xFFFF, 0x55, ("8-bit",)), (0x3333, 221, ("8-bit", "flattened")),
])  # fmt: skip
def test_16_bits_of_grey_and_alpha_stay_grey(alpha, level, steps):
    decoded = read(png(1, 1, 16, 4, b"\0" + struct.pack(">HH", 0x5555, alpha)))

    assert (decoded.image.mode, decoded.steps) == ("L", steps)
    assert decoded.image.getpixel((0, 0)) == level


def test_a_grey_profile_counts_for_16_bits_of_grey_and_alpha():
    icc = png_chunk(b"iCCP", b"grey\0\0" + zlib.compress(grey_profile(1.0)))
    decoded = read(png(1, 1, 16, 4, b"\0" + struct.pack(">HH", 0x5555, 0xFFFF), icc))

    assert (decoded.image.mode, decoded.steps) == ("L", ("8-bit", "srgb"))
    assert decoded.image.getpixel((0, 0)) == pytest.approx(156, abs=1)


def test_a_palette_of_8_bits_in_a_tiff_is_that_of_16():
    levels = np.random.default_rng(1).integers(0, 256, (3, 256), np.uint8)
    usual, old = (tiff(GREY, "palette", colormap=levels * np.uint16(scale)) for scale in (257, 1))

    for upload in (usual, old):
        np.testing.assert_array_equal(np.asarray(read(upload).image), levels.T[GREY])


@pytest.mark.parametrize("interlaced", [False, True])
def test_of_16_bits_a_colour_only_the_very_key_is_transparent(interlaced):
    colours = [0, 0, 0], [0, 0, 1], [0, 255, 0], [256, 0, 0], [0x1234] * 3
    key = png_chunk(b"tRNS", bytes(6))
    uploads = []
    for colour in colours:
        upload = bytearray(png(1, 1, 16, 2, b"\0" + struct.pack(">3H", *colour), key))
        upload[28] = interlaced
        upload[29:33] = struct.pack(">I", zlib.crc32(upload[12:29]))
        uploads.append(bytes(upload))

    found = [read(upload) for upload in uploads]

    assert [decoded.image.getpixel((0, 0)) for decoded in found] == [
        (255, 255, 255), (0, 0, 0), (0, 0, 0), (1, 0, 0), (18, 18, 18),
    ]  # fmt: skip
    assert [decoded.steps for decoded in found] == [("8-bit", "flattened")] + 4 * [("8-bit",)]


def test_a_key_of_16_bits_a_colour_costs_no_more_memory_than_an_image_may_take():
    side = 1_000
    upload = png(side, side, 16, 2, (b"\0" + bytes(6 * side)) * side, png_chunk(b"tRNS", b"\0\1" * 3))
    budget = PixelBudget(side * side)

    outcome, pixels = run(Job(side * side, budget.left, 0, 5.0), upload)

    assert (outcome.code, outcome.mode, len(pixels)) == ("", "RGB", 3 * side * side)


@pytest.mark.parametrize(("max_pixels", "code"), [(1_000_000, ""), (999_999, "too-many-pixels")])
def test_a_bmp_of_unusual_masks_costs_no_more_memory_than_an_image_may_take(max_pixels, code):
    upload = bytearray(bmp(16, (0xF00, 0xF0, 0xF), bytes(2_000_000)))
    upload[18:26] = struct.pack("<ii", 1_000, 1_000)

    outcome, pixels = run(Job(max_pixels, 4 * max_pixels, 0, 5.0), bytes(upload))

    assert (outcome.code, len(pixels)) == (code, 0 if code else 3_000_000)


def test_a_bmp_whose_pixels_would_not_fit_into_the_memory_of_an_image_is_refused_by_their_number():
    upload = bytearray(bmp(16, (0xF00, 0xF0, 0xF), bytes(32_000_000)))
    upload[18:26] = struct.pack("<ii", 4_000, 4_000)

    outcome, _ = run(Job(10_000, 40_000, 0, 5.0), bytes(upload))

    assert (outcome.code, outcome.out_of_memory) == ("too-many-pixels", False)
