"""Uploads decoded: upright, opaque and of eight bits, whatever the file; or refused, never anything else."""

import base64
import random
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from pictures import COLOURS, noise, oriented, png, png_chunk, quarters, saved
from PIL import Image, features

from serving.errors import BadRequest, Refusal, TooManyPixels, UnreadableImage
from serving.imaging.decoding import FORMATS, DecodedImage, PixelBudget, decode, read_header
from serving.imaging.png import parse_plain_png
from serving.imaging.preprocessing import ModelInput, preprocess

LIMIT = 1_000_000
LOSSLESS = ("PNG", "GIF", "BMP", "TIFF", "PPM")
WITH_EXIF = ("JPEG", "TIFF", "PNG", "WEBP", "AVIF")
FINE = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}, "AVIF": {"quality": 100}}

# How an upright image lies in the file of a camera that was held in this way.
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


@pytest.fixture(autouse=True)
def _as_the_service_sets_pillow(monkeypatch):
    """Let serving.imaging.preprocessing alone judge an image's size, as create_app does."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)


def assert_quarters(image, within=12):
    """Check the middle of each quarter, which no codec smears over."""
    width, height = image.size
    middles = [(width * x // 4, height * y // 4) for y in (1, 3) for x in (1, 3)]
    found = np.array([image.convert("RGB").getpixel(middle) for middle in middles], int)
    assert np.abs(found - COLOURS).max() <= within


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_read(kind):
    picture = decode(read_header(saved(quarters(), kind, **FINE.get(kind, {})), PixelBudget(LIMIT)))

    assert picture.image.mode == "RGB"
    assert picture.image.size == (40, 24)
    assert picture.steps == ()
    assert_quarters(picture.image)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_has_its_decoder_in_pillow(kind):
    assert kind not in ("WEBP", "AVIF") or features.check(kind.lower())


@pytest.mark.parametrize("kind", LOSSLESS)
def test_a_lossless_format_is_read_exactly(kind):
    image = quarters()

    assert decode(read_header(saved(image, kind), PixelBudget(LIMIT))).image.tobytes() == image.tobytes()


@pytest.mark.parametrize("kind", FORMATS)
def test_a_greyscale_file_shows_no_colour(kind):
    assert decode(read_header(saved(quarters().convert("L"), kind), PixelBudget(LIMIT))).grey


@pytest.mark.parametrize("kind", WITH_EXIF)
@pytest.mark.parametrize("orientation", LAID)
def test_a_photo_lands_upright_however_the_camera_was_held(kind, orientation):
    upright = quarters()
    laid = upright.transpose(LAID[orientation]) if LAID[orientation] is not None else upright
    upload = saved(laid, kind, exif=oriented(orientation), **FINE.get(kind, {}))

    picture = decode(read_header(upload, PixelBudget(LIMIT)))

    assert picture.image.size == upright.size
    assert_quarters(picture.image)
    assert picture.steps == (() if orientation == 1 else ("rotated",))


@pytest.mark.parametrize("orientation", [0, 9, 65_535])
def test_an_orientation_that_does_not_exist_is_passed_over(orientation):
    picture = decode(read_header(saved(quarters(), "JPEG", exif=oriented(orientation), **FINE["JPEG"]), PixelBudget(LIMIT)))

    assert picture.steps == ()
    assert_quarters(picture.image)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's own, of each kind of damage
@pytest.mark.parametrize(
    "exif",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"Exif\0\0", id="no header"),
        pytest.param(b"Exif\0\0garbage and nothing but garbage", id="no TIFF"),
        pytest.param(b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", id="entries that aren't there"),
        pytest.param(b"Exif\0\0MM\0*\xff\xff\xff\xff", id="entries outside"),
        pytest.param(b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x05\0\xff\xff\xff\xff\0\0\0\0", id="a million values"),
        pytest.param(b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x04\0\0\0six\0\0\0\0\0", id="a word"),
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_damaged_exif_data_does_not_spoil_sound_pixels(kind, exif):
    picture = decode(read_header(saved(quarters(), kind, exif=exif, **FINE.get(kind, {})), PixelBudget(LIMIT)))

    assert picture.steps == ()
    assert_quarters(picture.image)


def see_through(colour, alpha):
    return Image.new("RGBA", (4, 4), (*colour, alpha))


def grey_see_through(level, alpha):
    return Image.merge("LA", [Image.new("L", (4, 4), level), Image.new("L", (4, 4), alpha)])


def palette(transparency):
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    return saved(image, "PNG", **({} if transparency is None else {"transparency": transparency}))


@pytest.mark.parametrize(
    ("upload", "mode", "level", "done"),
    [
        pytest.param(palette(None), "RGB", (10, 20, 30), (), id="palette"),
        pytest.param(palette(1), "RGB", (255, 255, 255), ("flattened",), id="palette, see-through"),
        pytest.param(palette(0), "RGB", (10, 20, 30), (), id="palette, another entry see-through"),
        pytest.param(saved(see_through((0, 0, 0), 0), "PNG"), "RGB", (255, 255, 255), ("flattened",), id="RGBA, clear"),
        pytest.param(
            saved(see_through((255, 0, 55), 51), "PNG"), "RGB", (255, 204, 215), ("flattened",), id="RGBA, a fifth"
        ),
        pytest.param(saved(see_through((9, 8, 7), 255), "PNG"), "RGB", (9, 8, 7), (), id="RGBA, opaque"),
        pytest.param(saved(see_through((0, 0, 0), 0), "TIFF"), "RGB", (255, 255, 255), ("flattened",), id="TIFF, RGBA"),
        pytest.param(
            saved(see_through((0, 0, 0), 0), "WEBP", lossless=True, exact=True),
            "RGB",
            (255, 255, 255),
            ("flattened",),
            id="WebP, RGBA",
        ),
        pytest.param(saved(grey_see_through(0, 0), "PNG"), "L", 255, ("flattened",), id="LA, clear"),
        pytest.param(saved(grey_see_through(0, 51), "PNG"), "L", 204, ("flattened",), id="LA, a fifth"),
        pytest.param(saved(grey_see_through(77, 255), "PNG"), "L", 77, (), id="LA, opaque"),
        pytest.param(
            png(1, 1, 8, 0, b"\0\x07", png_chunk(b"tRNS", b"\0\x07")), "L", 255, ("flattened",), id="L, keyed"
        ),
        pytest.param(saved(Image.new("1", (4, 4), 1), "PNG"), "L", 255, (), id="1-bit PNG, white"),
        pytest.param(saved(Image.new("1", (4, 4), 0), "PPM"), "L", 0, (), id="1-bit PBM, black"),
        pytest.param(saved(Image.new("1", (4, 4), 1), "TIFF"), "L", 255, (), id="1-bit TIFF, white"),
        pytest.param(png(1, 1, 2, 0, b"\0\x40"), "L", 85, (), id="2-bit PNG"),
        pytest.param(png(1, 1, 16, 2, b"\0" + b"\x80\x80\x40\x40\x20\x20"), "RGB", (128, 64, 32), (), id="48-bit PNG"),
        pytest.param(
            saved(Image.new("CMYK", (4, 4), (0, 0, 0, 0)), "TIFF"), "RGB", (255, 255, 255), ("rgb",), id="CMYK"
        ),
    ],
)
def test_a_mode_is_brought_to_grey_or_colour(upload, mode, level, done):
    picture = decode(read_header(upload, PixelBudget(LIMIT)))

    assert picture.image.mode == mode
    assert picture.image.getpixel((0, 0)) == level
    assert picture.steps == done


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_are_scaled_not_clipped(kind):
    levels = np.arange(256, dtype=np.uint16).reshape(16, 16)
    upload = saved(Image.fromarray(levels * 257), kind)

    picture = decode(read_header(upload, PixelBudget(LIMIT)))

    np.testing.assert_array_equal(np.asarray(picture.image), levels)
    assert picture.steps == ("8-bit",)
    assert picture.grey


def test_sixteen_bits_are_rounded_to_the_nearest_level():
    levels = np.array([[0, 128, 129, 32_767, 65_535 - 129, 65_535 - 128, 65_535]], np.uint16)

    picture = decode(read_header(saved(Image.fromarray(levels), "PNG"), PixelBudget(LIMIT)))

    assert np.asarray(picture.image).tolist() == [[0, 0, 1, 127, 254, 255, 255]]


def test_a_cmyk_jpeg_keeps_its_colours():
    picture = decode(read_header(saved(quarters().convert("CMYK"), "JPEG", quality=100, subsampling=0), PixelBudget(LIMIT)))

    assert picture.steps == ("rgb",)
    assert_quarters(picture.image)


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (np.full((3, 3), 0.5, np.float32), "floating-point pixels"),
        (np.full((3, 3), 65_536, np.int32), "32-bit pixels"),
        (np.full((3, 3), 200, np.int32), "32-bit pixels"),
        (np.full((3, 3), -1, np.int32), "32-bit pixels"),
    ],
)
def test_pixels_without_a_set_white_are_refused_with_what_to_do(pixels, reason):
    with pytest.raises(UnreadableImage, match=rf"{reason}, which have no set white; save it with 8"):
        decode(read_header(saved(Image.fromarray(pixels), "TIFF"), PixelBudget(LIMIT)))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF", "TIFF"])
def test_of_several_frames_the_first_is_read(kind):
    frames = [Image.new("RGB", (40, 24), colour) for colour in ("black", "white")]
    upload = saved(quarters(), kind, save_all=True, append_images=frames, **FINE.get(kind, {}))

    picture = decode(read_header(upload, PixelBudget(LIMIT)))

    assert picture.steps == ("first-frame",)
    assert_quarters(picture.image)


def test_a_photo_with_a_preview_behind_it_is_one_photo():
    upload = saved(quarters(), "MPO", save_all=True, append_images=[quarters(20, 12)], quality=100, subsampling=0)

    picture = decode(read_header(upload, PixelBudget(LIMIT)))

    assert picture.steps == ()
    assert_quarters(picture.image)


def test_all_that_was_done_is_listed_in_order():
    frames = [see_through((0, 0, 0), 0), see_through((9, 9, 9), 255)]
    upload = saved(frames[0], "PNG", save_all=True, append_images=frames[1:], exif=oriented(6))

    assert decode(read_header(upload, PixelBudget(LIMIT))).done == ("first-frame", "rotated", "flattened")


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
def test_a_picture_is_grey_when_it_shows_no_colour(image, grey):
    assert DecodedImage(image, ()).grey is grey


def jpeg_header(width, height):
    upload = saved(quarters(), "JPEG")
    place = upload.index(b"\xff\xc0") + 5
    return upload[:place] + struct.pack(">HH", height, width) + upload[place + 4 :]


BOMBS = {
    "PNG": png(100_000, 100_000, 8, 2, bytes(1000)),
    "PNG, as large as it goes": png(2**31 - 1, 2**31 - 1, 16, 6, bytes(1000)),
    "GIF": b"GIF89a" + struct.pack("<HH", 65_535, 65_535) + saved(quarters(), "GIF")[10:],
    "BMP": (bmp := saved(quarters(), "BMP"))[:18] + struct.pack("<ii", 100_000, 100_000) + bmp[26:],
    "PPM": b"P6 100000 100000 255\n" + bytes(1000),
    "JPEG": jpeg_header(65_500, 65_500),
    "TIFF": saved(Image.new("1", (9_000, 9_000)), "TIFF", compression="group4"),
    "WEBP": saved(Image.new("L", (9_000, 9_000)), "WEBP", lossless=True, method=0),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_too_many_pixels_are_refused_before_they_are_decoded(kind):
    tracemalloc.start()

    with pytest.raises(TooManyPixels, match=r"pixels; at most 64,000,000 in all are taken\. Make it smaller"):
        decode(read_header(BOMBS[kind], PixelBudget(64_000_000)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 10_000_000


def test_the_limit_is_the_last_size_that_is_taken():
    upload = saved(noise(10, 10), "PNG")

    assert decode(read_header(upload, PixelBudget(100))).image.size == (10, 10)
    with pytest.raises(TooManyPixels, match="has 10 x 10 pixels; at most 99 in all"):
        decode(read_header(upload, PixelBudget(99)))


def test_the_images_of_a_request_have_a_limit_together():
    upload = saved(noise(10, 10), "PNG")
    budget = PixelBudget(100)
    for _ in range(4):
        decode(upload, budget)

    with pytest.raises(TooManyPixels, match=r"10 x 10 pixels left no room .* 400 pixels\. Send it in another request"):
        decode(upload, budget)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_a_file_that_was_cut_off_is_refused(kind, share):
    upload = saved(noise(64, 64), kind)

    with pytest.raises(UnreadableImage, match="not a whole image in a format that is read here"):
        decode(read_header(upload[: int(len(upload) * share)], PixelBudget(LIMIT)))


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
        pytest.param(b"\x89PNG\r\n\x1a\n", id="a signature alone"),
        pytest.param(png(0, 0, 8, 0, b""), id="PNG without a pixel"),
        pytest.param(png(5, 5, 8, 0, b"\0\0\0"), id="PNG with too few rows"),
        pytest.param(png(1, 1, 8, 3, b"\0\0"), id="PNG without its palette"),
        pytest.param(
            png(1, 1, 8, 0, b"\0\0", png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**22)))), id="text bomb"
        ),
    ],
)
def test_what_is_no_image_is_refused_with_what_to_do(upload):
    with pytest.raises(UnreadableImage, match=rf"^The {len(upload):,} bytes are not .*JPEG, PNG.*convert it to JPEG"):
        decode(read_header(upload, PixelBudget(LIMIT)))


def test_an_empty_upload_is_refused_as_empty():
    with pytest.raises(BadRequest, match="The image is empty"):
        decode(read_header(b"", PixelBudget(LIMIT)))


def mutated(upload, dice):
    """Return a file with a few bytes changed, lost or added, now and then cut off."""
    content = bytearray(upload)
    for _ in range(dice.choice((1, 2, 4, 16))):
        place = dice.randrange(min(len(content), dice.choice((40, 200, len(content)))))
        content[place] = dice.choice((0, 255, 128, dice.randrange(256)))
    if dice.random() < 0.2:
        place = dice.randrange(len(content))
        content[place : place + dice.randrange(8)] = dice.randbytes(dice.randrange(8))
    return bytes(content[: dice.randrange(1, len(content))] if dice.random() < 0.2 else content)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's own, of odd tags
@pytest.mark.parametrize("kind", FORMATS)
def test_a_damaged_file_is_read_or_refused_and_nothing_else(kind):
    dice = random.Random(f"damage to {kind}")  # the same on every run
    exif = {"exif": oriented(6)} if kind in WITH_EXIF else {}
    seeds = [saved(noise(mode=mode), kind, **exif) for mode in ("RGB", "L")]
    outcomes = {"read": 0, "refused": 0}

    for _ in range(1000):
        try:
            picture = decode(read_header(mutated(dice.choice(seeds), dice), PixelBudget(LIMIT)))
        except Refusal:
            outcomes["refused"] += 1
        else:
            assert picture.image.mode in ("L", "RGB")
            outcomes["read"] += 1

    assert min(outcomes.values()) >= 5


def damaged(dice):
    """Return the chunks of a PNG of which one is changed, cut, moved or added."""
    mode = dice.choice(("L", "RGB", "RGB", "P"))
    rows = dice.randbytes(4 * (1 + 5 * len(mode))) if dice.random() < 0.3 else bytes(4 * (1 + 5 * len(mode)))
    pixels = zlib.compress(rows[: dice.choice((len(rows), len(rows), dice.randrange(len(rows))))])
    head = struct.pack(">IIBBBBB", 5, 4, 8, {"L": 0, "RGB": 2, "P": 3}[mode], 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", pixels), (b"IEND", b"")]
    place = dice.randrange(len(chunks))
    kind, content = chunks[place]
    where = dice.randrange(len(content) + 1)
    if (how := dice.randrange(5)) == 0:
        chunks[place] = kind, content[:where] + dice.randbytes(1) + content[where + 1 :]
    elif how == 1:
        chunks[place : place + 1] = (kind, content[:where]), (kind, content[where:])
    elif how == 2:
        dice.shuffle(chunks)
    elif how == 3:
        chunks.insert(place, (dice.choice((b"PLTE", b"tRNS", b"gAMA", b"eXIf", b"fcTL")), dice.randbytes(6)))
    return chunks


def whole(chunks):
    """Return the PNG of these chunks, with the right checksums."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(*chunk) for chunk in chunks)


def with_another(chunks):
    """Return the same with a chunk that says nothing to anybody, so that it is no plain PNG."""
    end = next(place for place, (kind, _) in enumerate(chunks) if kind == b"IEND")
    return [*chunks[:end], (b"teSt", b""), *chunks[end:]]


def outcome(upload):
    """Return the pixels that were read and what was done to them, or the refusal's kind."""
    try:
        picture = decode(read_header(upload, PixelBudget(LIMIT)))
    except Refusal as refusal:
        return type(refusal)
    return picture.image.mode, picture.image.size, picture.image.tobytes(), picture.steps


def test_a_plain_png_is_read_as_pillows_plugin_reads_it_damaged_or_not():
    dice = random.Random("checksums are right")
    files = [damaged(dice) for _ in range(2000)]

    outcomes = [outcome(whole(chunks)) for chunks in files]

    assert outcomes == [outcome(whole(with_another(chunks))) for chunks in files]
    assert 500 < outcomes.count(UnreadableImage) < 1500
    assert sum(parse_plain_png(whole(chunks)) is not None for chunks in files) > 500
    assert not any(parse_plain_png(whole(with_another(chunks))) for chunks in files)


@pytest.mark.parametrize(("mode", "how", "size"), [("L", "garment", 28), ("RGB", "photo", 32), ("L", "photo", 16)])
def test_an_image_of_the_inputs_size_and_mode_goes_through_untouched(mode, how, size):
    image = noise(size, size, mode)

    result = preprocess(DecodedImage(image, ()), how, size, size, len(mode))

    assert result.done == ()
    assert result.pixels.shape == (size, size, len(mode))
    assert result.pixels.tobytes() == image.tobytes()


@pytest.mark.parametrize(
    ("mode", "how", "channels", "done"),
    [
        ("RGB", "photo", 3, ("before", "resized", "cropped")),
        ("L", "photo", 3, ("before", "resized", "cropped", "rgb")),
        ("RGB", "photo", 1, ("before", "grey", "resized", "cropped")),
        ("L", "garment", 1, ("before", "resized", "sharpened", "centred")),
        ("RGB", "garment", 1, ("before", "grey", "resized", "sharpened", "centred")),
        ("RGB", "garment", 3, ("before", "grey", "resized", "sharpened", "centred", "rgb")),
    ],
)
def test_a_fit_lists_what_it_did_after_what_was_done_before(mode, how, channels, done):
    result = preprocess(DecodedImage(Image.new(mode, (64, 32)), ("before",)), how, 16, 16, channels)

    assert result.done == done
    assert result.pixels.shape == (16, 16, channels)
    assert result.pixels.dtype == np.uint8


def test_an_image_of_the_inputs_size_in_another_mode_only_changes_mode():
    image = noise(32, 32, "L")

    result = preprocess(DecodedImage(image, ()), "photo", 32, 32, 3)

    assert result.done == ("rgb",)
    np.testing.assert_array_equal(result.pixels, np.repeat(np.asarray(image)[..., None], 3, axis=2))


@pytest.mark.parametrize("size", [(1, 1), (1, 60_000), (60_000, 1), (2, 3), (999, 1), (8_000, 8)])
@pytest.mark.parametrize(("how", "side", "channels"), [("garment", 28, 1), ("photo", 32, 3)])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_an_extreme_size_becomes_the_input_in_little_memory(size, how, side, channels, mode):
    picture = DecodedImage(noise(*size, mode=mode), ())
    tracemalloc.start()

    result = preprocess(picture, how, side, side, channels)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert result.pixels.shape == (side, side, channels)
    assert peak < 1_000_000


@pytest.mark.parametrize("channels", [1, 3])
def test_the_data_url_holds_the_pixels_exactly(channels):
    pixels = np.asarray(noise(7, 5)).copy()[..., :channels]

    head, _, payload = ModelInput(pixels, (), (1, 1), (0, 0, 1, 1)).data_url().partition(",")

    assert head == "data:image/png;base64"
    assert decode(read_header(base64.b64decode(payload), PixelBudget(LIMIT))).image.tobytes() == pixels.tobytes()
