"""PNG: encoding and decoding are exact."""

import io
import zlib

import numpy as np
import pytest
from pictures import noise, oriented, png, png_chunk, saved
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from serving.imaging.png import MAX_IDAT_CHUNKS, PlainPng, from_png, parse_plain_png, to_png

END = png_chunk(b"IEND", b"")
INTERLACED = png_chunk(b"IHDR", bytes((0, 0, 0, 1, 0, 0, 0, 1, 8, 0, 0, 0, 1)))


def text_chunk():
    text = PngInfo()
    text.add_text("Title", "noise")
    return text


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
    Image.new("1", (1024, 1025)).save(file, "PNG")

    with pytest.raises(ValueError, match="1024 x 1025 pixels; the limit is 1,048,576"):
        from_png(file.getvalue())


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_plain_png_is_decoded_exactly(mode):
    image = noise(mode=mode)

    found = parse_plain_png(saved(image, "PNG"))

    assert (found.mode, found.size) == (mode, image.size)
    assert found.decode().tobytes() == image.tobytes()


def test_a_file_of_too_many_idat_chunks_is_left_to_pillows_plugin():
    whole = png(2, 2, 8, 0, bytes(6))
    start = whole.index(b"IDAT") - 4
    chunks = [png_chunk(b"IDAT", b"")] * MAX_IDAT_CHUNKS

    assert parse_plain_png(whole[:start] + b"".join(chunks[1:]) + whole[start:])
    assert parse_plain_png(whole[:start] + b"".join(chunks) + whole[start:]) is None


def test_pixels_may_be_in_several_idat_chunks():
    whole = png(2, 2, 8, 0, bytes(6))
    start, pixels = whole.index(b"IDAT") - 4, parse_plain_png(whole).idat
    chunks = b"".join(png_chunk(b"IDAT", part) for part in (pixels[:3], b"", pixels[3:]))

    assert parse_plain_png(whole[:start] + chunks + END) == PlainPng("L", (2, 2), pixels)


@pytest.mark.parametrize(
    "content",
    [
        saved(noise().convert("RGBA"), "PNG"),
        saved(noise().convert("LA"), "PNG"),
        saved(noise().convert("P"), "PNG"),
        saved(noise().convert("1"), "PNG"),
        saved(noise(), "PNG", transparency=(1, 2, 3)),
        saved(noise(), "PNG", exif=oriented(6)),
        saved(noise(), "PNG", save_all=True, append_images=[noise(mode="RGB").rotate(90)]),
        saved(noise(), "PNG", pnginfo=text_chunk()),
        saved(noise(), "JPEG"),
        png(2, 2, 16, 0, bytes(10)),
        png(0, 2, 8, 0, bytes(2)),
        b"\x89PNG\r\n\x1a\n" + INTERLACED + png_chunk(b"IDAT", zlib.compress(bytes(2))) + END,
        b"",
        b"\x89PNG\r\n\x1a\n",
        b"\x89PNG\r\n\x1a\n" + END,
        saved(noise(), "PNG")[:-1],
        saved(noise(), "PNG").replace(b"IDAT", b"IDAU"),
        saved(noise(), "PNG").replace(b"IHDR\0\0\0\x18", b"IHDR\0\0\0\x17"),
    ],
    ids=[
        "RGBA",
        "LA",
        "palette",
        "1-bit",
        "tRNS",
        "EXIF",
        "animated",
        "text",
        "JPEG",
        "16-bit",
        "no pixels",
        "interlaced",
        "empty",
        "signature alone",
        "no header",
        "truncated",
        "damaged",
        "damaged width",
    ],
)
def test_any_other_file_is_left_to_pillows_plugin(content):
    assert parse_plain_png(content) is None
