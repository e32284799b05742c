"""Pixels as PNG: exact both ways."""

import io

import numpy as np
import pytest
from PIL import Image

from serving.png import from_png, to_png


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 3), (28, 28, 1), (32, 32, 3), (5, 9, 3)])
def test_pixels_survive_the_round_trip(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)

    np.testing.assert_array_equal(from_png(to_png(pixels)), pixels)


def test_a_jpeg_is_not_read():
    file = io.BytesIO()
    Image.new("L", (4, 4)).save(file, "JPEG")

    with pytest.raises(OSError, match="cannot identify image file"):
        from_png(file.getvalue())


def test_a_png_larger_than_any_input_is_refused_before_it_is_decoded():
    file = io.BytesIO()
    Image.new("1", (4096, 4097)).save(file, "PNG")

    with pytest.raises(ValueError, match="4096 x 4097 pixels are more than any input has"):
        from_png(file.getvalue())
