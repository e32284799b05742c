"""A JPEG that lacks only its end is read; one that is truncated further in is refused."""

import numpy as np
import pytest
from pictures import noise, saved
from PIL import Image

from serving.errors import UnreadableImage
from serving.imaging.decoding import PixelBudget, decode, read_header

FORMS = {
    "baseline": {},
    "without subsampling": {"subsampling": 0},
    "halved across": {"subsampling": 1},
    "progressive": {"progressive": True},
    "with restarts": {"restart_marker_rows": 1},
    "optimized": {"optimize": True},
}


def read(upload, min_side=0):
    return decode(read_header(upload, PixelBudget(10_000_000)), min_side).image


def smooth(width, height, mode="RGB"):
    return noise(7, 5, mode).resize((width, height), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("options", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize(("make", "lost"), [(smooth, 1), (smooth, 2), (noise, 1), (noise, 2), (noise, 4)])
def test_a_jpeg_without_its_end_is_read(options, mode, make, lost):
    upload = saved(make(200, 150, mode), "JPEG", quality=90, **options)

    whole, ended_early = read(upload), read(upload[:-lost])

    difference = np.abs(np.asarray(whole, int) - np.asarray(ended_early, int))
    assert ended_early.size == (200, 150)
    assert (difference > 0).mean() < 0.02
    assert lost > 2 or difference.max() == 0


def test_a_scaled_jpeg_without_its_end_is_read():
    upload = saved(smooth(2000, 1500), "JPEG", quality=90)

    assert read(upload[:-2], 256).tobytes() == read(upload, 256).tobytes()


@pytest.mark.parametrize("options", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("share", [0.5, 0.8, 0.95, 0.98])
@pytest.mark.parametrize("min_side", [0, 64])
def test_a_jpeg_truncated_further_in_is_refused(options, mode, share, min_side):
    upload = saved(noise(400, 300, mode), "JPEG", quality=90, **options)

    with pytest.raises(UnreadableImage, match="are not a complete image"):
        read(upload[: int(len(upload) * share)], min_side)


@pytest.mark.parametrize("options", FORMS.values(), ids=FORMS)
def test_zeros_in_the_place_of_what_is_missing_hide_nothing(options):
    upload = saved(noise(400, 300), "JPEG", quality=90, **options)

    with pytest.raises(UnreadableImage, match=f"The {len(upload):,} bytes are not a complete image"):
        read(upload[: len(upload) // 2].ljust(len(upload), b"\0"))
    assert read(upload + bytes(100)).tobytes() == read(upload).tobytes()
    assert read(upload[:-2] + bytes(100)).tobytes() == read(upload).tobytes()


def test_a_progressive_jpeg_without_its_last_scan_is_refused():
    upload = saved(noise(64, 64), "JPEG", progressive=True)

    with pytest.raises(UnreadableImage):
        read(upload[: upload.rindex(b"\xff\xda")])


def test_what_follows_the_end_is_ignored():
    upload = saved(noise(64, 64), "JPEG")

    assert read(upload + b"an appendix\xff\xd8").tobytes() == read(upload).tobytes()


@pytest.mark.parametrize("size", [(1, 1), (3, 7), (16, 16), (17, 5)])
@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_a_tiny_jpeg_without_its_end_is_read(size, options):
    upload = saved(noise(*size), "JPEG", **options)

    assert read(upload[:-2]).tobytes() == read(upload).tobytes()
