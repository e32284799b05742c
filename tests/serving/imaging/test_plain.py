"""Only small PNGs of ordinary chunks and baseline JPEGs of one scan are decoded in the event loop."""

import struct
from io import BytesIO

import pytest
from pictures import inflating_text, many_scans, noise, oriented, png, png_chunk, saved
from PIL import Image

from serving.imaging.plain import is_quick


def segments(jpeg: bytes, count: int, content: bytes = b"") -> bytes:
    """Return a JPEG with so many comments more."""
    return jpeg[:2] + (b"\xff\xfe" + struct.pack(">H", 2 + len(content)) + content) * count + jpeg[2:]


def hidden_progressive() -> bytes:
    """Return a progressive JPEG that begins like a baseline one to a reader that gives all markers a length.

    Other readers skip 0xFF 0x00, and the comment that holds a baseline JPEG's frame and scan.
    """
    baseline = saved(noise(), "JPEG")
    frame, scan = baseline.index(b"\xff\xc0"), baseline.index(b"\xff\xda")
    fake = baseline[frame : frame + 19] + baseline[scan : scan + 14]
    comment = b"\xff\xfe" + struct.pack(">H", 2 + len(fake)) + fake
    return b"\xff\xd8\xff\xff\x00\x06" + comment + saved(noise(), "JPEG", progressive=True)[2:]


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "I;16"])
def test_a_small_png_is_quick_whatever_its_mode(mode):
    image = noise(mode="L" if mode == "I;16" else mode)

    assert is_quick(saved(image.convert(mode), "PNG", dpi=(72, 72)))


@pytest.mark.parametrize("depth", [8, 16])
def test_a_png_of_an_eighth_of_the_pixels_is_quick_with_converted_colours(depth):
    assert is_quick(png(350, 350, depth, 2, b"", png_chunk(b"gAMA", bytes(4)), png_chunk(b"tRNS", bytes(6))))


@pytest.mark.parametrize("options", [{}, {"exif": oriented(6)}, {"subsampling": 0}, {"optimize": True}])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_a_small_baseline_jpeg_is_quick(mode, options):
    assert is_quick(saved(noise(mode=mode), "JPEG", **options))


@pytest.mark.parametrize("kind", ["WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM", "HEIF"])
def test_an_image_of_another_format_is_not_quick(kind):
    assert not is_quick(saved(noise(), kind))


@pytest.mark.parametrize(
    "upload",
    [
        saved(noise(), "JPEG", progressive=True),
        many_scans(8, 3),
        hidden_progressive(),
        saved(noise(), "JPEG").replace(b"\xff\xc0", b"\xff\xc9"),
        saved(Image.new("L", (1_001, 1_000)), "JPEG"),
        segments(saved(noise(), "JPEG"), 32),
        segments(saved(noise(), "JPEG"), 1, bytes(17_000)),
        inflating_text(1),
        png(1, 1, 8, 0, bytes(2), png_chunk(b"iCCP", b"a\0\0")),
        png(1, 1, 8, 0, bytes(2), png_chunk(b"eXIf", bytes(8))),
        png(1, 1, 8, 0, bytes(2), png_chunk(b"tEXt", bytes(1_025))),
        png(1, 1, 8, 0, bytes(2), png_chunk(b"IHDR", struct.pack(">IIBBBBB", 7_000, 7_000, 8, 0, 0, 0, 0))),
        png(1, 1, 8, 0, bytes(2), *[png_chunk(b"gAMA", bytes(4))] * 1_000),
        png(1_001, 1_000, 8, 0, b""),
        png(1, 10_001, 8, 0, b""),
        png(400, 400, 16, 2, b""),
        png(400, 400, 8, 2, b"", png_chunk(b"gAMA", bytes(4))),
        saved(noise(), "PNG").ljust(100_001, b"\0"),
        b"hello",
    ],
    ids=[
        "progressive", "scans", "hidden", "arithmetic", "JPEG of pixels", "segments", "header", "inflated", "profile",
        "exif", "text", "second header", "chunks", "pixels", "side", "depth", "gamma", "bytes", "foreign",
    ],
)  # fmt: skip
def test_a_file_that_may_take_long_is_not_quick(upload):
    assert not is_quick(upload)


def test_a_jpeg_whose_first_scan_lacks_a_component_is_not_quick():
    jpeg = bytearray(saved(noise(), "JPEG"))
    jpeg[jpeg.index(b"\xff\xda") + 4] = 1

    assert not is_quick(bytes(jpeg))


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_file_that_ends_in_its_header_is_not_quick(kind):
    upload = saved(noise(), kind)

    assert not any(is_quick(upload[:length]) for length in range(1, 100))


def test_an_empty_upload_is_quick():
    assert is_quick(b"")


def test_the_hidden_progressive_jpeg_is_one():
    assert Image.open(BytesIO(hidden_progressive())).info["progressive"]
