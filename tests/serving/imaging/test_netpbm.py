"""PPM, PGM and PBM with comments wherever they may stand."""

from time import process_time

import numpy as np
import pytest
from pictures import noise

from serving.imaging.decoding import PixelBudget, decode, read_header
from serving.imaging.netpbm import without_comments

PIXELS = np.asarray(noise(24, 20))
LEVELS, BITS = PIXELS[..., 0], PIXELS[..., 0] > 127


def read(upload):
    return np.asarray(decode(read_header(upload, PixelBudget(1_000))).image)


@pytest.mark.parametrize("end", [b"\n", b"\r"])
@pytest.mark.parametrize("head", [
    b"P6 24 20 255|", b"P6|# made by hand|24 20|255|", b"P6#a|24 20|255|", b"P6|24#width|20#height|255|",
    b"P6|#|#|24 20|255 ", b"P6|24 20|255# 255 is white|", b"P6 # a|# b|24#c|20 # d|255|",
], ids=lambda head: head.decode())  # fmt: skip
def test_a_comment_may_stand_anywhere_before_the_pixels(head, end):
    np.testing.assert_array_equal(read(head.replace(b"|", end) + PIXELS.tobytes()), PIXELS)


def test_so_it_may_in_grey_and_in_two_levels():
    rows = np.packbits(BITS, axis=1).tobytes()
    ones = " ".join(map(str, BITS.astype(int).ravel())).encode()
    levels = " ".join(map(str, LEVELS.ravel())).encode()

    np.testing.assert_array_equal(read(b"P5#a\n24#b\n20#c\n255\n" + LEVELS.tobytes()), LEVELS)
    np.testing.assert_array_equal(read(b"P2#a\n24#b\n20#c\n255\n#d\n" + levels), LEVELS)
    np.testing.assert_array_equal(read(b"P4#a\n24#b\n20\n" + rows), np.where(BITS, 0, 255))
    np.testing.assert_array_equal(read(b"P1#a\n24#b\n20\n#d\n" + ones), np.where(BITS, 0, 255))


@pytest.mark.parametrize("upload", [
    b"P6 24 20 255\n# \n", b"P6 # a", b"P6 # a\n24 # b\n", b"P7 # a\n1 1 1\n", b"PNG # a\n1 1 1\n",
    b"\x89PNG#\n1 1 1\n", b"",
])  # fmt: skip
def test_other_files_are_left_alone(upload):
    assert without_comments(upload) is None


@pytest.mark.parametrize("piece", [b"#\n", b"# ", b" ", b"1"])
def test_a_hostile_head_takes_no_time(piece):
    start = process_time()

    assert without_comments(b"P6 " + piece * 1_000_000) is None
    assert process_time() - start < 1
