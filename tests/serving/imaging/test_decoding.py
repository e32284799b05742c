"""Every upload is decoded to an upright, opaque image of 8 bits a channel, or refused."""

import io
import random
import struct
import tracemalloc
import zlib
from itertools import permutations

import numpy as np
import pillow_heif
import pytest
import tifffile
from pictures import COLOURS, noise, oriented, png, png_chunk, quarters, saved
from PIL import Image, features

from serving.errors import BadRequest, Refusal, TooManyPixels, UnreadableImage
from serving.imaging.decoding import DecodedImage, PixelBudget, decode, read_header
from serving.imaging.formats import FORMATS
from serving.imaging.png import parse_plain_png
from serving.imaging.preprocessing import preprocess
from serving.imaging.scaling import side_needed

LIMIT = 1_000_000
LOSSLESS = ("PNG", "GIF", "BMP", "TIFF", "PPM")
WITH_EXIF = ("JPEG", "TIFF", "PNG", "WEBP", "AVIF")
FINE = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}, "AVIF": {"quality": 100}}

# How an upright image lies in a file with this orientation.
LAID = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def read(upload, max_pixels=LIMIT):
    """Return the decoded image of an upload."""
    return decode(read_header(upload, PixelBudget(max_pixels)))


def assert_quarters(image, within=12):
    """Check the middle of each quarter, which codecs do not blur."""
    width, height = image.size
    middles = [(width * x // 4, height * y // 4) for y in (1, 3) for x in (1, 3)]
    found = np.array([image.convert("RGB").getpixel(middle) for middle in middles], int)
    assert np.abs(found - COLOURS).max() <= within


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_read(kind):
    decoded = read(saved(quarters(), kind, **FINE.get(kind, {})))

    assert decoded.image.mode == "RGB"
    assert decoded.image.size == (40, 24)
    assert decoded.steps == ()
    assert_quarters(decoded.image)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_has_its_decoder_in_pillow(kind):
    assert kind not in ("WEBP", "AVIF") or features.check(kind.lower())


@pytest.mark.parametrize("kind", LOSSLESS)
def test_a_lossless_format_is_read_exactly(kind):
    image = quarters()

    assert read(saved(image, kind)).image.tobytes() == image.tobytes()


@pytest.mark.parametrize("kind", FORMATS)
def test_a_greyscale_file_is_grey(kind):
    assert read(saved(quarters().convert("L"), kind)).grey


@pytest.mark.parametrize("kind", WITH_EXIF)
@pytest.mark.parametrize("orientation", LAID)
def test_a_photo_is_rotated_upright_as_its_orientation_says(kind, orientation):
    upright = quarters()
    laid = upright.transpose(LAID[orientation]) if LAID[orientation] is not None else upright
    upload = saved(laid, kind, exif=oriented(orientation), **FINE.get(kind, {}))

    decoded = read(upload)

    assert decoded.image.size == upright.size
    assert_quarters(decoded.image)
    assert decoded.steps == (() if orientation == 1 else ("rotated",))


@pytest.mark.parametrize("orientation", [0, 9, 65_535])
def test_an_invalid_orientation_is_ignored(orientation):
    decoded = read(saved(quarters(), "JPEG", exif=oriented(orientation), **FINE["JPEG"]))

    assert decoded.steps == ()
    assert_quarters(decoded.image)


@pytest.mark.parametrize(
    "exif",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"Exif\0\0", id="no header"),
        pytest.param(b"Exif\0\0garbage and nothing but garbage", id="not a TIFF"),
        pytest.param(b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", id="missing entries"),
        pytest.param(b"Exif\0\0MM\0*\xff\xff\xff\xff", id="offset outside"),
        pytest.param(b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x05\0\xff\xff\xff\xff\0\0\0\0", id="a million values"),
        pytest.param(b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x04\0\0\0six\0\0\0\0\0", id="a word"),
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_damaged_exif_data_is_ignored(kind, exif):
    decoded = read(saved(quarters(), kind, exif=exif, **FINE.get(kind, {})))

    assert decoded.steps == ()
    assert_quarters(decoded.image)


def transparent(colour, alpha):
    return Image.new("RGBA", (4, 4), (*colour, alpha))


def grey_transparent(level, alpha):
    return Image.merge("LA", [Image.new("L", (4, 4), level), Image.new("L", (4, 4), alpha)])


def palette(transparency):
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    return saved(image, "PNG", **({} if transparency is None else {"transparency": transparency}))


@pytest.mark.parametrize(
    ("upload", "mode", "level", "steps"),
    [
        pytest.param(palette(None), "RGB", (10, 20, 30), (), id="palette"),
        pytest.param(palette(1), "RGB", (255, 255, 255), ("flattened",), id="palette, transparent"),
        pytest.param(palette(0), "RGB", (10, 20, 30), (), id="palette, another entry transparent"),
        pytest.param(saved(transparent((0, 0, 0), 0), "PNG"), "RGB", (255, 255, 255), ("flattened",), id="RGBA, clear"),
        pytest.param(
            saved(transparent((255, 0, 55), 51), "PNG"), "RGB", (255, 204, 215), ("flattened",), id="RGBA, a fifth"
        ),
        pytest.param(saved(transparent((9, 8, 7), 255), "PNG"), "RGB", (9, 8, 7), (), id="RGBA, opaque"),
        pytest.param(saved(transparent((0, 0, 0), 0), "TIFF"), "RGB", (255, 255, 255), ("flattened",), id="TIFF, RGBA"),
        pytest.param(
            saved(transparent((0, 0, 0), 0), "WEBP", lossless=True, exact=True),
            "RGB",
            (255, 255, 255),
            ("flattened",),
            id="WebP, RGBA",
        ),
        pytest.param(saved(grey_transparent(0, 0), "PNG"), "L", 255, ("flattened",), id="LA, clear"),
        pytest.param(saved(grey_transparent(0, 51), "PNG"), "L", 204, ("flattened",), id="LA, a fifth"),
        pytest.param(saved(grey_transparent(77, 255), "PNG"), "L", 77, (), id="LA, opaque"),
        pytest.param(
            png(1, 1, 8, 0, b"\0\x07", png_chunk(b"tRNS", b"\0\x07")), "L", 255, ("flattened",), id="L, keyed"
        ),
        pytest.param(
            png(1, 1, 1, 0, b"\0\0", png_chunk(b"tRNS", b"\0\0")), "L", 255, ("flattened",), id="1 bit, keyed"
        ),
        pytest.param(
            png(1, 1, 2, 0, b"\0\x40", png_chunk(b"tRNS", b"\0\1")), "L", 255, ("flattened",), id="2 bits, keyed"
        ),
        pytest.param(
            png(1, 1, 4, 0, b"\0\x70", png_chunk(b"tRNS", b"\0\7")), "L", 255, ("flattened",), id="4 bits, keyed"
        ),
        pytest.param(
            png(1, 1, 4, 0, b"\0\x70", png_chunk(b"tRNS", b"\0\x77")), "L", 255, ("flattened",), id="key of more bits"
        ),
        pytest.param(
            png(1, 1, 4, 0, b"\0\x70", png_chunk(b"tRNS", b"\0\6")), "L", 119, (), id="4 bits, another level keyed"
        ),
        pytest.param(
            png(1, 1, 16, 0, b"\0\1\2", png_chunk(b"tRNS", b"\1\2")),
            "L",
            255,
            ("8-bit", "flattened"),
            id="16 bits, keyed",
        ),
        pytest.param(
            png(1, 1, 16, 0, b"\0\1\2", png_chunk(b"tRNS", b"\1\3")),
            "L",
            1,
            ("8-bit",),
            id="16 bits, another level keyed",
        ),
        pytest.param(
            png(1, 1, 8, 2, b"\0\1\2\3", png_chunk(b"tRNS", b"\0\1\0\2\0\3")),
            "RGB",
            (255, 255, 255),
            ("flattened",),
            id="RGB, keyed",
        ),
        pytest.param(
            png(1, 1, 16, 2, b"\0\1\2\3\4\5\6", png_chunk(b"tRNS", b"\1\2\3\4\5\6")),
            "RGB",
            (255, 255, 255),
            ("8-bit", "flattened"),
            id="48 bits, keyed",
        ),
        pytest.param(saved(Image.new("1", (4, 4), 1), "PNG"), "L", 255, (), id="1-bit PNG, white"),
        pytest.param(saved(Image.new("1", (4, 4), 0), "PPM"), "L", 0, (), id="1-bit PBM, black"),
        pytest.param(saved(Image.new("1", (4, 4), 1), "TIFF"), "L", 255, (), id="1-bit TIFF, white"),
        pytest.param(png(1, 1, 2, 0, b"\0\x40"), "L", 85, (), id="2-bit PNG"),
        pytest.param(
            png(1, 1, 16, 2, b"\0" + b"\x80\x80\x40\x40\x20\x20"), "RGB", (128, 64, 32), ("8-bit",), id="48-bit PNG"
        ),
        pytest.param(
            saved(Image.new("CMYK", (4, 4), (0, 0, 0, 0)), "TIFF"), "RGB", (255, 255, 255), ("rgb",), id="CMYK"
        ),
    ],
)
def test_every_mode_is_converted_to_grey_or_rgb(upload, mode, level, steps):
    decoded = read(upload)

    assert decoded.image.mode == mode
    assert decoded.image.getpixel((0, 0)) == level
    assert decoded.steps == steps


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_16_bits_are_scaled_not_clipped(kind):
    levels = np.arange(256, dtype=np.uint16).reshape(16, 16)
    upload = saved(Image.fromarray(levels * 257), kind)

    decoded = read(upload)

    np.testing.assert_array_equal(np.asarray(decoded.image), levels)
    assert decoded.steps == ("8-bit",)
    assert decoded.grey


def test_16_bits_are_rounded_to_the_nearest_level():
    levels = np.array([[0, 128, 129, 32_767, 65_535 - 129, 65_535 - 128, 65_535]], np.uint16)

    decoded = read(saved(Image.fromarray(levels), "PNG"))

    assert np.asarray(decoded.image).tolist() == [[0, 0, 1, 127, 254, 255, 255]]


def test_a_cmyk_jpeg_keeps_its_colours():
    decoded = read(saved(quarters().convert("CMYK"), "JPEG", quality=100, subsampling=0))

    assert decoded.steps == ("rgb",)
    assert_quarters(decoded.image)


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (np.full((3, 3), 0.5, np.float32), "floating-point pixels"),
        (np.full((3, 3), 65_536, np.int32), "signed or 32-bit pixels"),
        (np.full((3, 3), 200, np.int32), "signed or 32-bit pixels"),
        (np.full((3, 3), -1, np.int32), "signed or 32-bit pixels"),
    ],
)
def test_pixels_of_an_undefined_range_are_refused_with_what_to_do(pixels, reason):
    with pytest.raises(UnreadableImage, match=rf"{reason}, whose range is not defined; save it with 8 or 16 bits"):
        read(saved(Image.fromarray(pixels), "TIFF"))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF", "TIFF"])
def test_the_first_of_several_frames_is_read(kind):
    frames = [Image.new("RGB", (40, 24), colour) for colour in ("black", "white")]
    upload = saved(quarters(), kind, save_all=True, append_images=frames, **FINE.get(kind, {}))

    decoded = read(upload)

    assert decoded.steps == ("first-frame",)
    assert_quarters(decoded.image)


def gif(transparent, palette=True):
    """Return a GIF of 4 by 4 pixels whose frame has four, of the level 1, from the second of a row and column on."""
    colours = b"\x0a\x14\x1e" + b"\xc8\x28\x0a" + bytes(6)
    head = b"GIF89a" + struct.pack("<HHBBB", 4, 4, 0x81 if palette else 1, 0, 0) + colours * palette
    control = b"!\xf9\4\1\0\0\3\0" * transparent
    codes = (4, 1, 1, 4, 1, 1, 5)  # of three bits: clear, two pixels, clear, two pixels, end
    bits = sum(code << 3 * place for place, code in enumerate(codes))
    return head + control + b"," + struct.pack("<HHHHB", 1, 1, 2, 2, 0) + b"\2\3" + bits.to_bytes(3, "little") + b"\0;"


@pytest.mark.parametrize("transparent", [False, True])
def test_what_the_first_frame_of_a_gif_does_not_cover_is_transparent(transparent):
    decoded = read(gif(transparent))

    assert decoded.steps == ("flattened",)
    pixels = np.full((4, 4, 3), 255)
    pixels[1:3, 1:3] = 200, 40, 10
    np.testing.assert_array_equal(np.asarray(decoded.image), pixels)


def test_a_gif_without_a_palette_is_transparent_there_too():
    decoded = read(gif(False, palette=False))

    assert (decoded.image.mode, decoded.steps) == ("L", ("flattened",))
    assert decoded.image.getpixel((0, 0)) == 255
    assert decoded.image.getpixel((1, 1)) < 128


def test_a_photo_with_an_embedded_preview_is_one_frame():
    upload = saved(quarters(), "MPO", save_all=True, append_images=[quarters(20, 12)], quality=100, subsampling=0)

    decoded = read(upload)

    assert decoded.steps == ()
    assert_quarters(decoded.image)


def test_the_steps_are_listed_in_order():
    frames = [transparent((0, 0, 0), 0), transparent((9, 9, 9), 255)]
    upload = saved(frames[0], "PNG", save_all=True, append_images=frames[1:], exif=oriented(6))

    assert read(upload).steps == ("first-frame", "rotated", "flattened")


@pytest.mark.parametrize(
    ("image", "grey"),
    [
        (Image.new("L", (3, 3), 9), True),
        (Image.new("RGB", (3, 3), (9, 9, 9)), True),
        (Image.new("RGB", (3, 3), (9, 9, 8)), False),
        (Image.new("RGB", (3, 3), (8, 9, 9)), False),
        (quarters(), False),
    ],
)
def test_an_image_is_grey_when_it_shows_no_colour(image, grey):
    assert DecodedImage(image, ()).grey is grey


def webp_header(width, height):
    upload = saved(quarters(), "WEBP", lossless=True)
    place = upload.index(b"VP8L") + 9
    sides = int.from_bytes(upload[place : place + 4], "little") >> 28 << 28 | height - 1 << 14 | width - 1
    return upload[:place] + sides.to_bytes(4, "little") + upload[place + 4 :]


def jpeg_header(width, height):
    upload = saved(quarters(), "JPEG")
    place = upload.index(b"\xff\xc0") + 5
    return upload[:place] + struct.pack(">HH", height, width) + upload[place + 4 :]


BOMBS = {
    "PNG": png(100_000, 100_000, 8, 2, bytes(1000)),
    "PNG of the largest size": png(2**31 - 1, 2**31 - 1, 16, 6, bytes(1000)),
    "GIF": b"GIF89a" + struct.pack("<HH", 65_535, 65_535) + saved(quarters(), "GIF")[10:],
    "BMP": (bmp := saved(quarters(), "BMP"))[:18] + struct.pack("<ii", 100_000, 100_000) + bmp[26:],
    "PPM": b"P6 100000 100000 255\n" + bytes(1000),
    "JPEG": jpeg_header(65_500, 65_500),
    "TIFF": saved(Image.new("1", (9_000, 9_000)), "TIFF", compression="group4"),
    "WEBP": webp_header(9_000, 9_000),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_too_many_pixels_are_refused_before_they_are_decoded(kind):
    tracemalloc.start()

    with pytest.raises(TooManyPixels, match=r"pixels; the limit is 64,000,000 in all\. Make it smaller"):
        read(BOMBS[kind], max_pixels=64_000_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 10_000_000


def test_an_image_of_exactly_the_limit_is_decoded():
    upload = saved(noise(10, 10), "PNG")

    assert read(upload, max_pixels=100).image.size == (10, 10)
    with pytest.raises(TooManyPixels, match="has 10 x 10 pixels; the limit is 99 in all"):
        read(upload, max_pixels=99)


def test_the_images_of_a_request_share_a_limit():
    upload = saved(noise(10, 10), "PNG")
    budget = PixelBudget(100)
    for _ in range(4):
        read_header(upload, budget)

    with pytest.raises(TooManyPixels, match=r"10 x 10 it passes the limit of 400\. Send this image in another request"):
        read_header(upload, budget)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_a_truncated_file_is_refused(kind, share):
    upload = saved(noise(64, 64), kind)

    with pytest.raises(UnreadableImage, match=r"are not a complete (image in a supported format|HEIC image)"):
        read(upload[: int(len(upload) * share)])


BMP_MASKS = [*permutations((0xFF, 0xFF00, 0xFF0000, 0xFF000000), 3)]


def bitfields_bmp(masks, header_size, alpha=None):
    """Return a BMP of 32 bits a pixel, all of it (200, 40, 10), whose channels stand where the masks say."""
    shifts = [mask.bit_length() - 8 for mask in masks]
    rest = ({0, 8, 16, 24} - set(shifts)).pop()
    pixel = sum(level << shift for level, shift in zip((200, 40, 10), shifts, strict=True)) | (alpha or 0) << rest
    masks = struct.pack("<3I", *masks) + (struct.pack("<I", 0xFF << rest if alpha is not None else 0))
    head = struct.pack("<IiiHHIIiiII", header_size, 3, 2, 1, 32, 3, 24, 0, 0, 0, 0)
    head += masks if header_size == 56 else masks[:12]
    start = 14 + len(head)
    return b"BM" + struct.pack("<IHHI", start + 24, 0, 0, start) + head + struct.pack("<I", pixel) * 6


@pytest.mark.parametrize("masks", BMP_MASKS)
@pytest.mark.parametrize("header_size", [40, 56])
def test_the_channels_of_a_bmp_may_stand_in_any_order(masks, header_size):
    decoded = read(bitfields_bmp(masks, header_size))

    assert decoded.image.size == (3, 2)
    assert set(decoded.image.get_flattened_data()) == {(200, 40, 10)}


@pytest.mark.parametrize("masks", BMP_MASKS)
def test_a_bmp_has_alpha_where_its_header_says_so(masks):
    decoded = read(bitfields_bmp(masks, 56, alpha=51))  # a fifth

    assert decoded.steps == ("flattened",)
    np.testing.assert_allclose(decoded.image.getpixel((0, 0)), (244, 212, 206), atol=1)


@pytest.mark.parametrize("masks", BMP_MASKS)
def test_an_alpha_that_would_hide_all_of_a_bmp_is_none(masks):
    decoded = read(bitfields_bmp(masks, 56, alpha=0))

    assert decoded.steps == ()
    assert set(decoded.image.get_flattened_data()) == {(200, 40, 10)}


@pytest.mark.parametrize(
    ("bits", "masks"),
    [
        (16, (0x7C00, 0x3E0, 0x1F, 0x8000)),
        (16, (0xF00, 0xF0, 0xF, 0xF000)),
        (32, (0x3FF00000, 0xFFC00, 0x3FF, 0xC0000000)),
    ],
)
@pytest.mark.parametrize("height", [2, -2])
def test_the_masks_of_a_bmp_may_have_any_number_of_bits_and_alpha(bits, masks, height):
    """The first row, which may be the last in the file, is red, half green, and blue that is transparent."""
    red, green, blue, alpha = masks
    largest, lowest = green // (green & -green), green & -green
    pixels = [red | alpha, largest // 2 * lowest | alpha, blue]
    row = struct.pack("<4H" if bits == 16 else "<3I", *pixels, *[0] * (bits == 16))
    head = struct.pack("<IiiHHIIiiII4I", 56, 3, height, 1, bits, 3, 0, 0, 0, 0, 0, *masks)
    rows = row + bytes(len(row)) if height < 0 else bytes(len(row)) + row
    decoded = read(b"BM" + struct.pack("<IHHI", 0, 0, 0, 14 + len(head)) + head + rows)

    assert decoded.steps == ("flattened",)
    found = [decoded.image.getpixel((x, 0)) for x in range(3)]
    assert found == [(255, 0, 0), (0, round(largest // 2 * 255 / largest), 0), (255, 255, 255)]


def heic(image=None, **options):
    return saved(image or quarters(), "HEIF", **options)


def test_a_heic_is_turned_once_as_its_container_says():
    decoded = read(heic(quarters().transpose(LAID[6]), exif=oriented(6).tobytes()))

    assert decoded.image.size == (40, 24)
    assert decoded.steps == ("rotated",)
    assert_quarters(decoded.image)


def test_a_heic_whose_container_says_nothing_is_turned_as_exif_says():
    upload = heic(quarters().transpose(LAID[6]), exif=oriented(6).tobytes())
    upload = upload.replace(b"irot", b"free", 1)  # an unknown property is ignored

    decoded = read(upload)

    assert decoded.image.size == (40, 24)
    assert decoded.steps == ("rotated",)
    assert_quarters(decoded.image)


def test_of_several_images_in_a_heic_the_primary_one_is_read():
    file = pillow_heif.HeifFile()
    for image in (Image.new("RGB", (64, 64), "white"), quarters(64, 48)):
        file.add_from_pillow(image)
    file.primary_index = 1
    content = io.BytesIO()
    file.save(content, primary_index=1)

    decoded = read(content.getvalue())

    assert decoded.image.size == (64, 48)
    assert decoded.steps == ()
    assert_quarters(decoded.image)


def test_a_transparent_heic_is_laid_on_white():
    decoded = read(heic(transparent((0, 0, 0), 0).resize((64, 64))))

    assert decoded.steps == ("flattened",)
    assert decoded.image.getpixel((9, 9)) == (255, 255, 255)


def test_the_size_of_a_heic_is_judged_before_it_is_decoded():
    upload = heic(noise(200, 100))

    with pytest.raises(TooManyPixels, match="has 200 x 100 pixels; the limit is 19,999 in all"):
        read(upload, max_pixels=19_999)


def test_a_heic_with_more_pixels_than_its_header_says_is_refused_by_its_name():
    upload = heic(noise(400, 200))
    small = upload.replace(b"ispe" + struct.pack(">III", 0, 400, 200), b"ispe" + struct.pack(">III", 0, 20, 10))
    assert small != upload

    with pytest.raises(UnreadableImage, match=r"^The [\d,]+ bytes are not a complete HEIC image\."):
        read(small, max_pixels=1000)


def test_a_tiff_with_a_plane_for_each_channel_is_read():
    file = io.BytesIO()
    planes = np.moveaxis(np.asarray(quarters()), -1, 0)
    tifffile.imwrite(file, planes, photometric="rgb", planarconfig="separate")

    assert_quarters(read(file.getvalue()).image)


def test_a_tiff_with_planes_of_reversed_bits_is_refused_with_the_kind():
    file = io.BytesIO()
    planes = np.moveaxis(np.asarray(quarters()), -1, 0)
    threshold = 263, 3, 1, 1, True  # a tag that tells nothing of the pixels, whose number becomes that of FillOrder
    tifffile.imwrite(file, planes, photometric="rgb", planarconfig="separate", extratags=[threshold])
    upload = file.getvalue()
    reversed_bits = upload.replace(struct.pack("<HHIHH", 263, 3, 1, 1, 0), struct.pack("<HHIHH", 266, 3, 1, 2, 0))
    assert reversed_bits != upload

    with pytest.raises(UnreadableImage, match=r"planar configuration 2 .* 8 and 8 and 8 bits a sample, in reverse"):
        read(reversed_bits)
    assert_quarters(read(upload).image)


@pytest.mark.parametrize(
    ("pixels", "options", "reason"),
    [
        pytest.param(
            np.zeros((9, 9), np.float64), {}, r"sample format 3 \(floating-point numbers\), 64 bits", id="f64"
        ),
        pytest.param(np.zeros((9, 9, 3), np.float32), {"photometric": "rgb"}, "sample format 3 .*32 and 32", id="RGB"),
        pytest.param(np.zeros((9, 9), np.complex64), {}, r"sample format 6 \(complex\)", id="complex"),
        pytest.param(
            np.zeros((3, 9, 9), np.float32),
            {"photometric": "rgb", "planarconfig": "separate"},
            r"planar configuration 2 \(a plane for each channel\)",
            id="planar",
        ),
    ],
)
def test_a_tiff_of_a_kind_that_is_not_read_is_refused_with_the_kind(pixels, options, reason):
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **options)

    with pytest.raises(UnreadableImage, match=rf"^This kind of TIFF is unsupported: .*{reason}.*to JPEG or PNG"):
        read(file.getvalue())


def test_a_tiff_of_unknown_compression_is_refused_with_its_number():
    upload = saved(quarters(), "TIFF")
    raw, unknown = struct.pack("<HHIHH", 259, 3, 1, 1, 0), struct.pack("<HHIHH", 259, 3, 1, 34_712, 0)
    assert raw in upload

    with pytest.raises(UnreadableImage, match="kind of TIFF is unsupported: compression 34712"):
        read(upload.replace(raw, unknown))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
@pytest.mark.parametrize("size", [(9_000_000, 1), (1, 9_000_000), (450_000, 20)])
@pytest.mark.parametrize("fit", ["garment", "photo"])
def test_an_extremely_long_image_never_crashes(kind, size, fit):
    upload = saved(Image.new("L", size, 77), kind)
    tracemalloc.start()

    decoded = decode(read_header(upload, PixelBudget(50_000_000)), side_needed(28, 28))
    made = preprocess(decoded, fit, 28, 28, 1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert made.pixels.shape == (28, 28, 1)
    assert max(decoded.image.size) <= 100_000
    assert peak < 100_000_000


@pytest.mark.parametrize(
    "upload",
    [
        pytest.param(b"hello", id="text"),
        pytest.param(b"<svg xmlns='http://www.w3.org/2000/svg'/>", id="SVG"),
        pytest.param(b"%PDF-1.7\n", id="PDF"),
        pytest.param(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", id="PostScript"),
        pytest.param(saved(noise(), "ICO"), id="icon"),
        pytest.param(saved(noise(), "TGA"), id="TGA"),
        pytest.param(saved(noise(), "JPEG2000"), id="JPEG 2000"),
        pytest.param(bytes(5000), id="zeros"),
        pytest.param(b"\x89PNG\r\n\x1a\n", id="PNG signature alone"),
        pytest.param(png(0, 0, 8, 0, b""), id="PNG without pixels"),
        pytest.param(png(5, 5, 8, 0, b"\0\0\0"), id="PNG with too few rows"),
        pytest.param(png(1, 1, 8, 3, b"\0\0"), id="PNG without its palette"),
    ],
)
def test_a_file_that_is_not_an_image_is_refused_with_what_to_do(upload):
    with pytest.raises(UnreadableImage, match=rf"^The {len(upload):,} bytes are not .*JPEG, PNG.*convert it to JPEG"):
        read(upload)


def test_an_empty_upload_is_refused_as_empty():
    with pytest.raises(BadRequest, match="The image is empty"):
        read(b"")


def mutate(upload, rng):
    """Return a file with a few bytes changed, removed or added; sometimes it is truncated."""
    content = bytearray(upload)
    for _ in range(rng.choice((1, 2, 4, 16))):
        place = rng.randrange(min(len(content), rng.choice((40, 200, len(content)))))
        content[place] = rng.choice((0, 255, 128, rng.randrange(256)))
    if rng.random() < 0.2:
        place = rng.randrange(len(content))
        content[place : place + rng.randrange(8)] = rng.randbytes(rng.randrange(8))
    return bytes(content[: rng.randrange(1, len(content))] if rng.random() < 0.2 else content)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_damaged_file_is_decoded_or_refused(kind):
    rng = random.Random(f"damage to {kind}")  # the same on every run
    exif = {"exif": oriented(6)} if kind in WITH_EXIF else {}
    seeds = [saved(noise(mode=mode), kind, **exif) for mode in ("RGB", "L")]
    outcomes = {"decoded": 0, "refused": 0}

    for _ in range(1000):
        try:
            decoded = read(mutate(rng.choice(seeds), rng))
        except Refusal:
            outcomes["refused"] += 1
        else:
            assert decoded.image.mode in ("L", "RGB")
            outcomes["decoded"] += 1

    assert min(outcomes.values()) >= 5


def damaged_chunks(rng):
    """Return the chunks of a PNG; one of them is changed, truncated, moved or added."""
    mode = rng.choice(("L", "RGB", "RGB", "P"))
    rows = rng.randbytes(4 * (1 + 5 * len(mode))) if rng.random() < 0.3 else bytes(4 * (1 + 5 * len(mode)))
    pixels = zlib.compress(rows[: rng.choice((len(rows), len(rows), rng.randrange(len(rows))))])
    head = struct.pack(">IIBBBBB", 5, 4, 8, {"L": 0, "RGB": 2, "P": 3}[mode], 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", pixels), (b"IEND", b"")]
    place = rng.randrange(len(chunks))
    kind, content = chunks[place]
    where = rng.randrange(len(content) + 1)
    if (how := rng.randrange(5)) == 0:
        chunks[place] = kind, content[:where] + rng.randbytes(1) + content[where + 1 :]
    elif how == 1:
        chunks[place : place + 1] = (kind, content[:where]), (kind, content[where:])
    elif how == 2:
        rng.shuffle(chunks)
    elif how == 3:
        chunks.insert(place, (rng.choice((b"PLTE", b"tRNS", b"gAMA", b"eXIf", b"fcTL")), rng.randbytes(6)))
    return chunks


def to_file(chunks):
    """Return the PNG of these chunks, with correct checksums."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


def with_unknown_chunk(chunks):
    """Return the same with a chunk that decoders ignore, so that it is not a plain PNG."""
    end = next(place for place, (kind, _) in enumerate(chunks) if kind == b"IEND")
    return [*chunks[:end], (b"teSt", b""), *chunks[end:]]


def outcome(upload):
    """Return the pixels and the steps, or the class of the refusal."""
    try:
        decoded = read(upload)
    except Refusal as refusal:
        return type(refusal)
    return decoded.image.mode, decoded.image.size, decoded.image.tobytes(), decoded.steps


def test_a_plain_png_is_read_as_pillows_plugin_reads_it_even_if_damaged():
    rng = random.Random("checksums are right")
    files = [damaged_chunks(rng) for _ in range(2000)]

    outcomes = [outcome(to_file(chunks)) for chunks in files]

    assert outcomes == [outcome(to_file(with_unknown_chunk(chunks))) for chunks in files]
    assert 500 < outcomes.count(UnreadableImage) < 1500
    assert sum(parse_plain_png(to_file(chunks)) is not None for chunks in files) > 500
    assert not any(parse_plain_png(to_file(with_unknown_chunk(chunks))) for chunks in files)


@pytest.mark.parametrize(
    ("kind", "content", "steps"),
    [
        pytest.param(b"iCCP", b"", ("profile-ignored",), id="empty profile chunk"),
        pytest.param(b"iCCP", b"x\0\1abc", ("profile-ignored",), id="unknown method of compression"),
        pytest.param(b"iCCP", b"x\0\0abc", ("profile-ignored",), id="no zlib"),
        pytest.param(b"iCCP", b"x\0\0" + zlib.compress(b""), ("profile-ignored",), id="empty profile"),
        pytest.param(b"iCCP", b"x\0\0" + zlib.compress(bytes(2**22)), ("profile-ignored",), id="large profile"),
        pytest.param(b"gAMA", b"\0", ("profile-ignored",), id="short gamma"),
        pytest.param(b"cHRM", b"\0\0\0\1", ("profile-ignored",), id="short chromaticities"),
        pytest.param(b"tRNS", b"\0", (), id="short transparency"),
        pytest.param(b"pHYs", b"\0", (), id="short resolution"),
        pytest.param(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**22)), (), id="text bomb"),
    ],
)
@pytest.mark.parametrize(("colour", "mode"), [(0, "L"), (2, "RGB")])
def test_a_png_is_read_without_its_damaged_chunk(kind, content, steps, colour, mode):
    pixels = bytes((10, 20, 30))[: len(mode)]

    decoded = read(png(1, 1, 8, colour, b"\0" + pixels, png_chunk(kind, content)))

    assert (decoded.image.mode, decoded.image.tobytes(), decoded.steps) == (mode, pixels, steps)


def test_the_sound_chunks_beside_a_damaged_one_count():
    transparent = png_chunk(b"tRNS", struct.pack(">3H", 10, 20, 30))
    wrong_crc = png_chunk(b"tEXt", b"a\0b")[:-1] + b"?"

    decoded = read(png(1, 1, 8, 2, bytes((0, 10, 20, 30)), wrong_crc, transparent, png_chunk(b"gAMA", b"")))

    assert decoded.steps == ("profile-ignored", "flattened")
    assert decoded.image.getpixel((0, 0)) == (255, 255, 255)


def test_a_png_of_many_chunks_and_a_damaged_one_is_refused_soon():
    chunks = [png_chunk(b"tEXt", b"a\0b")] * 10_000

    with pytest.raises(UnreadableImage):
        read(png(1, 1, 8, 0, b"\0\0", *chunks, png_chunk(b"gAMA", b"")))
