import pytest
import torch
from torch import Tensor

from training.augment import flip, shift

IMAGES = torch.arange(400 * 3 * 8 * 8, dtype=torch.float32).view(400, 3, 8, 8)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def moved(image: Tensor, down: int, across: int) -> Tensor:
    """Return an image [c, h, w] moved by hand, with its border reflected."""
    rows, columns = (
        torch.tensor([(size - 1) - abs((size - 1) - abs(place + by)) for place in range(size)])
        for size, by in zip(image.shape[1:], (down, across), strict=True)
    )
    return image[:, rows][:, :, columns]


def test_a_flip_mirrors_about_half_of_the_images_and_leaves_the_others():
    flipped = flip(IMAGES, generator())

    mirrored = [bool(torch.equal(after, before.flip(2))) for before, after in zip(IMAGES, flipped, strict=True)]
    untouched = [bool(torch.equal(after, before)) for before, after in zip(IMAGES, flipped, strict=True)]
    assert 150 < sum(mirrored) < 250
    assert sum(mirrored) + sum(untouched) == len(IMAGES)


def test_a_shift_moves_each_image_by_up_to_two_pixels_and_reflects_the_border():
    images = IMAGES[:100]
    offsets = [(down, across) for down in range(-2, 3) for across in range(-2, 3)]

    shifted = shift(images, generator())

    seen = [
        [by for by in offsets if torch.equal(after, moved(before, *by))]
        for before, after in zip(images, shifted, strict=True)
    ]
    assert all(len(by) == 1 for by in seen)
    assert len({by[0] for by in seen}) > 20


@pytest.mark.parametrize("augmentation", [flip, shift])
class TestBoth:
    def test_the_generator_decides_alone(self, augmentation):
        once, again, other = (augmentation(IMAGES, generator(seed)) for seed in (1, 1, 2))

        assert torch.equal(once, again)
        assert not torch.equal(once, other)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64])
    @pytest.mark.parametrize("shape", [(5, 1, 28, 28), (5, 3, 32, 32), (1, 3, 9, 12)])
    def test_shape_and_type_stay(self, augmentation, shape, dtype):
        images = torch.rand(shape).to(dtype)

        augmented = augmentation(images, generator())

        assert augmented.shape == images.shape
        assert augmented.dtype == dtype

    def test_the_batch_given_is_not_changed(self, augmentation):
        images = IMAGES.clone()

        augmentation(images, generator())

        assert torch.equal(images, IMAGES)
