"""Resizing to a model's input: the geometry, and the likeness to Fashion-MNIST's own images."""

import io

import numpy as np
import pytest
from pictures import COLOURS, quarters
from PIL import Image, ImageOps

from serving.concurrency import SerialExecutor
from serving.imaging.resizing import RESIZERS, resize_garment, resize_photo
from serving.inference.options import PredictOptions
from serving.inference.predictor import Predictor
from serving.repository.repository import Repository

NAMES = ("ankle-boot", "bag", "pullover", "sandal", "sneaker", "trouser")


@pytest.fixture(scope="module")
def predictor(models):
    return Predictor(Repository(models), 10**6, SerialExecutor(5.0))


def photo(image, width, height):
    resized = resize_photo(image, width, height)
    return resized.image, resized.steps


def garment(image, width, height):
    resized = resize_garment(image, width, height)
    return resized.image, resized.steps


def grey(pixels):
    return Image.fromarray(np.asarray(pixels, np.uint8))


def block(width, height, box, inside, outside):
    image = Image.new("L", (width, height), outside)
    image.paste(inside, box)
    return image


def shop_photo(original, scale=10, offset=(90, 35), canvas=(520, 410)):
    """Return a garment as shops show it: large, dark on white, anywhere in the image."""
    large = original.resize((original.width * scale, original.height * scale), Image.Resampling.NEAREST)
    image = Image.new("L", canvas, 255)
    image.paste(ImageOps.invert(large), offset)
    return image


@pytest.mark.parametrize(
    ("size", "boxes"),
    [
        ((96, 32), [(0, 0, 32, 32), (64, 0, 96, 32)]),
        ((32, 96), [(0, 0, 32, 32), (0, 64, 32, 96)]),
    ],
    ids=["landscape", "portrait"],
)
def test_a_photo_keeps_the_centre_exactly(size, boxes):
    image = Image.new("RGB", size, (10, 20, 30))
    for box in boxes:
        image.paste((255, 255, 255), box)

    result, steps = photo(image, 32, 32)

    assert steps == ("cropped",)
    assert result.tobytes() == Image.new("RGB", (32, 32), (10, 20, 30)).tobytes()


@pytest.mark.parametrize("size", [64, 16, 256, 49, 103, 1_001])
def test_a_square_photo_is_only_resized(size):
    result, steps = photo(quarters(size, size), 32, 32)

    assert steps == ("resized",)
    assert [result.getpixel(place) for place in ((4, 4), (27, 4), (4, 27), (27, 27))] == list(COLOURS)


@pytest.mark.parametrize("size", range(33, 200))
def test_a_square_of_any_size_is_not_cropped(size):
    assert photo(Image.new("L", (size, size)), 32, 32)[1] == ("resized",)


@pytest.mark.parametrize("size", [(49, 50), (50, 49), (103, 234), (4_033, 3_024), (98, 1_000)])
def test_an_oblong_of_any_size_is_resized_and_cropped(size):
    assert photo(Image.new("L", size), 32, 32)[1] == ("resized", "cropped")


@pytest.mark.parametrize(("size", "side"), [((128, 64), "width"), ((64, 128), "height")])
def test_a_large_photo_is_resized_by_its_shortest_side_and_cropped_at_the_longest(size, side):
    ramp = np.linspace(0, 255, 128).round()
    image = grey(np.tile(ramp, (64, 1)) if side == "width" else np.tile(ramp[:, None], (1, 64)))

    result, steps = photo(image, 32, 32)
    profile = np.asarray(result, float).mean(axis=0 if side == "width" else 1)

    assert steps == ("resized", "cropped")
    np.testing.assert_allclose(profile, ramp[32:96].reshape(32, 2).mean(axis=1), atol=2)


@pytest.mark.parametrize("size", [(320, 320), (512, 320), (96, 640)])
def test_a_fine_checkerboard_shrinks_to_uniform_grey(size):
    width, height = size
    board = grey(np.indices((height, width)).sum(axis=0) % 2 * 255)

    pixels = np.asarray(photo(board, 32, 32)[0], int)

    assert np.abs(pixels - 127).max() <= 3


def test_a_photo_fills_an_oblong_input():
    result, steps = photo(quarters(64, 64), 32, 16)

    assert result.size == (32, 16)
    assert steps == ("resized", "cropped")


def test_a_dark_border_is_kept_and_a_bright_one_inverted():
    box = (10, 10, 20, 20)
    dark, dark_steps = garment(block(40, 40, box, 200, 0), 28, 28)
    bright, bright_steps = garment(block(40, 40, box, 55, 255), 28, 28)

    assert "inverted" not in dark_steps
    assert bright_steps == ("inverted", *dark_steps)
    assert bright.tobytes() == dark.tobytes()


@pytest.mark.parametrize(("border", "inverted"), [(0, False), (13, False), (14, True), (90, True), (255, True)])
def test_only_an_image_on_black_is_not_inverted(border, inverted):
    _, steps = garment(block(40, 40, (10, 10, 30, 30), 255 - border, border), 28, 28)

    assert ("inverted" in steps) is inverted


def test_a_garment_that_touches_an_edge_is_not_mistaken_for_the_border():
    _, steps = garment(block(40, 40, (10, 20, 30, 40), 0, 255), 28, 28)

    assert "inverted" in steps


@pytest.mark.parametrize(
    ("box", "filled"),
    [
        ((10, 20, 66, 48), (0, 7, 28, 21)),  # twice as wide as high
        ((20, 10, 48, 66), (7, 0, 21, 28)),  # twice as high as wide
        ((30, 30, 86, 86), (0, 0, 28, 28)),
    ],
)
def test_a_garment_is_trimmed_scaled_by_its_longest_side_and_centred_on_black(box, filled):
    image = block(100, 100, box, 180, 0)

    result, steps = garment(image, 28, 28)

    assert result.getbbox() == filled
    assert result.crop(filled).getextrema() == (180, 180)
    assert steps == ("trimmed", "resized", "sharpened") + ("centred",) * (filled != (0, 0, 28, 28))


@pytest.mark.parametrize("difference", [13, 14])
def test_pixels_close_to_the_background_are_trimmed(difference):
    image = block(28, 28, (4, 4, 24, 24), 255 - difference, 255)

    _, steps = garment(image, 28, 28)

    assert ("trimmed" in steps) is (difference == 14)


@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize("size", [(28, 28), (300, 200), (1, 1)])
def test_a_blank_image_becomes_black(level, size):
    result, _ = garment(Image.new("L", size, level), 28, 28)

    assert result.size == (28, 28)
    assert result.getextrema() == (0, 0)


@pytest.mark.parametrize("fit", RESIZERS)
def test_every_resizer_takes_a_checkerboard(fit):
    resized = RESIZERS[fit](grey(np.indices((99, 70)).sum(axis=0) % 2 * 255), 28, 28)

    assert resized.image.size == (28, 28)


@pytest.mark.parametrize("name", NAMES)
def test_a_shop_photo_of_a_garment_becomes_the_image_in_fashion_mnist(image, name):
    original = Image.open(io.BytesIO(image(name)))

    result, steps = garment(shop_photo(original), 28, 28)
    difference = np.abs(np.asarray(result, int) - np.asarray(original, int)).mean()

    assert steps[:3] == ("inverted", "trimmed", "resized")
    assert difference < 8


@pytest.mark.parametrize("name", NAMES)
def test_a_shop_photo_of_a_garment_gets_the_label_of_the_original(predictor, image, name):
    file = io.BytesIO()
    shop_photo(Image.open(io.BytesIO(image(name)))).save(file, "PNG")

    original, photographed = predictor.predict([image(name), file.getvalue()], PredictOptions("fashion-mlp")).items

    assert original.fit == ()
    assert photographed.label == original.label
