"""Large photos are decoded no larger than a model needs, and become the same input."""

import io

import numpy as np
import pytest
from pictures import COLOURS, noise, oriented, quarters, saved
from PIL import Image, ImageDraw

from serving.errors import TooManyPixels
from serving.imaging.decoding import PixelBudget, decode, read_header
from serving.imaging.preprocessing import preprocess
from serving.imaging.resizing import WORK_SIDE
from serving.imaging.scaling import side_needed

FORMATS = {
    "JPEG": {"quality": 90}, "PNG": {"compress_level": 1}, "WEBP": {"quality": 90, "method": 0}, "BMP": {},
    "TIFF": {},
}  # fmt: skip
SIZES = ((1600, 1200), (1200, 1600), (1999, 1501), (1501, 1001), (1033, 777), (2048, 600))


def read(upload, min_side=0):
    return decode(read_header(upload, PixelBudget(50_000_000)), min_side)


def photo(width, height, seed=0):
    """Return gradients, shapes with hard edges, and noise as of a sensor."""
    rng = np.random.default_rng(seed)
    image = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for _ in range(12):
        x, y, radius = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0.02, 0.3) * width
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), tuple(rng.integers(0, 256, 3).tolist()))
    pixels = np.asarray(image, np.float32) + rng.normal(0, 6, (height, width, 1))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize(("sides", "needed"), [((32, 32), 256), ((64, 224), 448)])
def test_more_is_left_than_the_input_needs(sides, needed):
    assert side_needed(*sides) == needed


def test_a_photo_keeps_the_side_at_which_a_garment_is_looked_for():
    assert side_needed(28, 28) * 3 / 2 >= WORK_SIDE


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("size", SIZES)
def test_the_input_made_of_a_scaled_photo_is_that_of_the_whole_one(kind, size):
    upload = saved(photo(*size), kind, **FORMATS[kind])

    whole, scaled = (preprocess(read(upload, side), "photo", 32, 32, 3) for side in (0, 256))

    difference = np.abs(whole.pixels.astype(int) - scaled.pixels.astype(int))
    assert difference.max() <= 2
    assert difference.mean() < 0.3
    assert scaled.steps == whole.steps


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photo_is_scaled_and_turned(progressive, orientation):
    upload = saved(photo(1601, 1203), "JPEG", exif=oriented(orientation), progressive=progressive)

    whole, scaled = read(upload), read(upload, 256)

    assert min(scaled.image.size) >= 256
    assert (scaled.image.width > scaled.image.height) == (whole.image.width > whole.image.height)
    inputs = [preprocess(decoded, "photo", 32, 32, 3).pixels.astype(int) for decoded in (whole, scaled)]
    assert np.abs(inputs[0] - inputs[1]).max() <= 2


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("size", [(511, 511), (256, 2000), (40, 24)])
def test_an_image_of_less_than_twice_the_need_is_not_scaled(kind, mode, size):
    upload = saved(noise(*size, mode), kind, **FORMATS[kind])

    assert read(upload, 256).image.tobytes() == read(upload).image.tobytes()


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("size", [(512, 512), (2000, 1000), (1001, 3000)])
def test_a_larger_image_keeps_the_need_or_up_to_twice_as_much(kind, size):
    decoded = read(saved(quarters(*size), kind, **FORMATS[kind]), 256)

    assert 256 <= min(decoded.image.size) < 512
    assert decoded.image.width / decoded.image.height == pytest.approx(size[0] / size[1], abs=0.01)


def test_transparent_pixels_lend_their_colour_to_no_other():
    image = Image.new("RGBA", (1030, 1030), (0, 0, 0, 0))
    image.paste((255, 0, 0, 255), (515, 0, 1030, 1030))

    decoded = read(saved(image, "PNG", compress_level=1), 256)

    pixels = np.asarray(decoded.image)
    assert decoded.steps == ("flattened",)
    assert pixels[..., 0].min() >= 254  # neither white nor red is dark in red


@pytest.mark.parametrize("mode", ["P", "1", "LA", "CMYK"])
def test_every_mode_is_scaled(mode):
    kind = "TIFF" if mode == "CMYK" else "PNG"
    upload = saved(quarters(1200, 900).convert(mode), kind)

    decoded = read(upload, 256)

    assert decoded.image.size == (400, 300)
    assert decoded.image.mode == ("L" if mode in ("1", "LA") else "RGB")


def test_a_photo_with_a_preview_is_scaled():
    upload = saved(quarters(1600, 1200), "MPO", save_all=True, append_images=[quarters(160, 120)], quality=95)

    decoded = read(upload, 256)

    assert decoded.image.size == (400, 300)
    assert decoded.image.getpixel((100, 75)) == pytest.approx(COLOURS[0], abs=5)


def test_the_limit_counts_all_pixels_of_a_photo_that_is_scaled():
    upload = saved(quarters(1600, 1200), "JPEG")

    with pytest.raises(TooManyPixels, match="1,600 x 1,200 pixels; the limit is 1,000,000"):
        decode(read_header(upload, PixelBudget(1_000_000)), 256)


def test_the_view_and_the_size_of_a_scaled_photo_are_in_proportion():
    upload = saved(quarters(2000, 1000), "JPEG")

    whole, scaled = (preprocess(read(upload, side), "photo", 32, 32, 3) for side in (0, 256))

    ratio = scaled.size[0] / whole.size[0]
    assert ratio == 0.5
    np.testing.assert_allclose(scaled.view, ratio * np.array(whole.view), atol=1)


def test_a_scaled_photo_is_decoded_without_its_own_pixels():
    upload = saved(photo(1600, 1200), "JPEG")
    image = Image.open(io.BytesIO(upload))

    scaled = read(upload, 256).image

    assert scaled.size[0] * 4 == image.width
