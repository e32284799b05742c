import numpy as np
import pytest

from training.evaluation.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from training.evaluation.filters import fractal, motion_blur, sample, zoom

SHAPES = [(4, 28, 28, 1), (4, 32, 32, 3), (2, 20, 33, 3)]


def scenes(shape):
    """Return images with a bright, textured square on a dark ground."""
    random = np.random.default_rng(0)
    images = np.full(shape, 30, np.uint8)
    images[:, 6:-6, 6:-6] = random.integers(100, 220, images[:, 6:-6, 6:-6].shape)
    return images


def change(images, name, severity):
    """Return the mean change of a pixel."""
    corrupted = corrupt(images, name, severity, np.random.default_rng(1))
    return np.abs(corrupted.astype(int) - images).mean()


def test_there_are_the_fifteen_corruptions_of_the_paper_in_five_severities():
    assert len(CORRUPTIONS) == 15
    assert all(len(values) == len(SEVERITIES) == 5 for _, values in CORRUPTIONS.values())


@pytest.mark.parametrize("shape", SHAPES, ids=["grey", "colour", "oblong"])
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_changes_images_of_any_shape_and_leaves_the_given_ones_alone(name, shape):
    images = scenes(shape)

    corrupted = corrupt(images, name, 5, np.random.default_rng(1))

    assert (corrupted.shape, corrupted.dtype) == (images.shape, np.uint8)
    assert (corrupted != images).mean() > 0.05
    np.testing.assert_array_equal(images, scenes(shape))


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_same_seed_gives_the_same_images(name):
    images = scenes(SHAPES[1])

    one, two = (corrupt(images, name, 3, np.random.default_rng(7)) for _ in range(2))

    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("name", [name for name in CORRUPTIONS if name != "elastic transform"])  # which tilts less
def test_the_highest_severity_changes_more_than_the_lowest(name):
    images = scenes(SHAPES[1])

    assert change(images, name, 5) > change(images, name, 1) > 0


@pytest.mark.parametrize("name", ["defocus blur", "motion blur", "zoom blur", "glass blur", "contrast", "pixelate"])
def test_an_even_image_stays_as_it_is(name):
    even = np.full((2, 32, 32, 3), (90, 120, 200), np.uint8)

    np.testing.assert_allclose(corrupt(even, name, 5, np.random.default_rng(0)), even, atol=1)


def test_noise_has_the_deviation_of_its_severity():
    grey = np.full((20, 32, 32, 3), 128, np.uint8)

    assert corrupt(grey, "gaussian noise", 5, np.random.default_rng(0)).std() == pytest.approx(25.5, rel=0.02)
    assert corrupt(grey, "shot noise", 5, np.random.default_rng(0)).std() == pytest.approx(25.5, rel=0.02)
    changed = corrupt(grey, "impulse noise", 5, np.random.default_rng(0)) != 128
    assert changed.mean() == pytest.approx(0.07, rel=0.05)


def test_brightness_adds_to_the_value_and_keeps_the_hue():
    colour = np.full((1, 8, 8, 3), (100, 50, 0), np.uint8)

    brighter = corrupt(colour, "brightness", 3, np.random.default_rng(0))[0, 0, 0]

    assert brighter.tolist() == pytest.approx([138, 69, 0], abs=1)  # 15% of 255 more


def test_an_image_moves_along_the_line_of_its_own_angle():
    points = np.zeros((2, 9, 9, 1), np.float32)
    points[:, 4, 4] = 1

    level, upright = motion_blur(points, 2, 1.0, np.array([0.0, 90.0]))[..., 0]

    assert level.any(0).sum() == upright.any(1).sum() == 5
    assert level.any(1).sum() == upright.any(0).sum() == 1
    assert level.sum() == pytest.approx(1)


def test_a_zoom_keeps_the_centre_and_enlarges_from_there():
    square = np.zeros((1, 32, 32, 1), np.float32)
    square[:, 12:20, 12:20] = 1

    enlarged = zoom(square, 2.0)

    assert enlarged.sum() == pytest.approx(4 * square.sum(), rel=0.05)
    np.testing.assert_allclose(enlarged, enlarged[:, ::-1, ::-1], atol=1e-6)
    np.testing.assert_allclose(zoom(square, 1.0), square)


def test_pixels_are_read_between_others_and_mirrored_beyond_the_edge():
    row = np.array([[0, 10, 20, 30]], np.float32)[..., None]
    image = np.repeat(row[:, None], 3, 1)

    read = sample(image, np.ones((1, 1, 3), np.float32), np.array([[[1.5, -1, 4]]], np.float32))

    assert read[0, 0, :, 0].tolist() == [15, 10, 20]


def test_clouds_span_the_whole_range_and_are_finer_where_they_decay_less():
    soft, rough = (fractal((5, 28, 28), decay, np.random.default_rng(0)) for decay in (3.0, 1.5))

    assert (soft.min((1, 2)) == 0).all()
    assert (soft.max((1, 2)) == 1).all()
    assert np.abs(np.diff(rough)).mean() > np.abs(np.diff(soft)).mean()
