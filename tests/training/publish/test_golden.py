import numpy as np
import pytest

from serving.model.card import MIN_GOLDEN_SAMPLES, Golden
from training.publish.golden import golden_images


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (48, 64, 3)])
def test_golden_images_have_the_shape_of_an_input_and_are_enough_for_the_contract(shape):
    images = golden_images(*shape)

    assert images.dtype == np.uint8
    assert images.shape[1:] == shape
    assert len(images) >= MIN_GOLDEN_SAMPLES


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3)])
def test_golden_images_are_the_same_each_time_and_differ_from_each_other(shape):
    images = golden_images(*shape)

    assert np.array_equal(images, golden_images(*shape))
    assert len({image.tobytes() for image in images}) == len(images)


def test_golden_images_differ_in_light_and_use_the_whole_range():
    images = golden_images(32, 32, 3)

    assert (images.min(), images.max()) == (0, 255)
    assert np.ptp(images.mean((1, 2, 3))) > 10


def test_colour_images_are_not_grey():
    images = golden_images(32, 32, 3)

    assert all((image[..., 0] != image[..., 2]).any() for image in images)


def test_the_card_gives_a_golden_image_back_unchanged():
    for image in golden_images(28, 28, 1):
        assert np.array_equal(Golden.of(image, np.zeros(10, np.float32)).pixels(), image)
