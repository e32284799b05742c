"""The limit on pixels holds for what a decoder makes room for, not for what a file shows."""

import pytest
from pictures import large_tile, noise, saved
from PIL import Image

from serving.errors import TooManyPixels
from serving.imaging.decoding import PixelBudget, decode, read_header
from serving.imaging.sizes import webp_canvas


@pytest.mark.parametrize(
    "options", [{}, {"lossless": True}, {"save_all": True, "append_images": [noise(300, 201)], "exif": b"Exif\0\0"}]
)
def test_the_canvas_of_a_webp_is_read_from_any_kind_of_it(options):
    assert webp_canvas(saved(noise(300, 201), "WEBP", **options)) == (300, 201)


@pytest.mark.parametrize("upload", [saved(noise(), "PNG"), b"RIFF0000WEBPVP8X", b""])
def test_another_file_has_no_canvas(upload):
    assert webp_canvas(upload) == (0, 0)


def test_a_webp_of_a_large_canvas_is_refused_before_its_decoder_makes_room_for_it():
    webp = bytearray(saved(Image.new("RGB", (8, 8)), "WEBP", save_all=True, append_images=[noise(8, 8)]))
    webp[24:30] = (16_382).to_bytes(3, "little") * 2

    with pytest.raises(TooManyPixels, match="16,383 x 16,383 pixels"):
        read_header(bytes(webp), PixelBudget(50_000_000))


def test_a_tiff_whose_tile_has_too_many_pixels_is_refused():
    with pytest.raises(TooManyPixels, match="32,768 x 32,768 pixels"):
        read_header(large_tile(32_768), PixelBudget(50_000_000))


def test_a_tile_that_is_larger_than_its_image_counts_in_full():
    budget = PixelBudget(1_000_000)
    before = budget.left

    header = read_header(large_tile(256), budget)

    assert before - budget.left == 256 * 256
    assert header.image.size == (10, 10)


def test_a_tiff_in_tiles_is_decoded():
    tiff = saved(noise(40, 40, "L"), "TIFF")

    assert decode(read_header(tiff, PixelBudget(1_000_000))).image.tobytes() == noise(40, 40, "L").tobytes()
