"""A decoded image becomes a model's input."""

import base64
import tracemalloc

import numpy as np
import pytest
from pictures import noise, saved
from PIL import Image

from serving.imaging.decoding import DecodedImage, PixelBudget, decode, read_header
from serving.imaging.png import from_png
from serving.imaging.preprocessing import ModelInput, preprocess


@pytest.mark.parametrize(("mode", "fit", "size"), [("L", "garment", 28), ("RGB", "photo", 32), ("L", "photo", 16)])
def test_an_image_of_the_inputs_size_and_mode_is_unchanged(mode, fit, size):
    image = noise(size, size, mode)

    made = preprocess(DecodedImage(image, ()), fit, size, size, len(mode))

    assert made.steps == ()
    assert made.pixels.shape == (size, size, len(mode))
    assert made.pixels.tobytes() == image.tobytes()


@pytest.mark.parametrize(
    ("mode", "fit", "channels", "steps"),
    [
        ("RGB", "photo", 3, ("before", "resized", "cropped")),
        ("L", "photo", 3, ("before", "resized", "cropped", "rgb")),
        ("RGB", "photo", 1, ("before", "grey", "resized", "cropped")),
        ("L", "garment", 1, ("before", "resized", "sharpened", "centred")),
        ("RGB", "garment", 1, ("before", "grey", "resized", "sharpened", "centred")),
        ("RGB", "garment", 3, ("before", "grey", "resized", "sharpened", "centred", "rgb")),
    ],
)
def test_the_steps_of_resizing_follow_those_of_decoding(mode, fit, channels, steps):
    made = preprocess(DecodedImage(Image.new(mode, (64, 32)), ("before",)), fit, 16, 16, channels)

    assert made.steps == steps
    assert made.pixels.shape == (16, 16, channels)
    assert made.pixels.dtype == np.uint8


def test_an_image_of_the_inputs_size_in_another_mode_changes_only_its_mode():
    image = noise(32, 32, "L")

    made = preprocess(DecodedImage(image, ()), "photo", 32, 32, 3)

    assert made.steps == ("rgb",)
    np.testing.assert_array_equal(made.pixels, np.repeat(np.asarray(image)[..., None], 3, axis=2))


def test_a_garment_on_transparent_ground_is_told_from_it_whatever_the_files_mode():
    shape = Image.new("L", (28, 28))
    shape.paste(255, (8, 4, 20, 26))
    upload = Image.merge("LA", [shape.point(lambda level: 40 if level else 0), shape])

    grey, colour = (
        preprocess(decode(read_header(saved(image, "PNG"), PixelBudget(10_000))), "garment", 28, 28, 1)
        for image in (upload, upload.convert("RGBA"))
    )

    assert grey.steps[:2] == ("flattened", "inverted")
    assert grey.pixels[0, 0] == 0
    np.testing.assert_array_equal(grey.pixels, colour.pixels)


@pytest.mark.parametrize("size", [(1, 1), (1, 60_000), (60_000, 1), (2, 3), (999, 1), (8_000, 8)])
@pytest.mark.parametrize(("fit", "side", "channels"), [("garment", 28, 1), ("photo", 32, 3)])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_an_image_of_an_extreme_size_is_preprocessed_in_little_memory(size, fit, side, channels, mode):
    decoded = DecodedImage(noise(*size, mode=mode), ())
    tracemalloc.start()

    made = preprocess(decoded, fit, side, side, channels)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert made.pixels.shape == (side, side, channels)
    assert peak < 1_000_000


@pytest.mark.parametrize("channels", [1, 3])
def test_the_data_url_has_exactly_the_pixels(channels):
    pixels = np.asarray(noise(7, 5)).copy()[..., :channels]

    head, _, payload = ModelInput(pixels, (), (1, 1), (0, 0, 1, 1)).data_url().partition(",")

    assert head == "data:image/png;base64"
    np.testing.assert_array_equal(from_png(base64.b64decode(payload)), pixels)
