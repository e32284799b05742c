import pytest
import torch
from torch import Tensor

from training.augment import cutout, flip_lr, random_shift, random_zoom

IMAGES = torch.arange(400 * 3 * 8 * 8, dtype=torch.float32).view(400, 3, 8, 8)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def where_it_is(images: Tensor) -> Tensor:
    """Return images [n, 2, h, w] of their pixels' own coordinates, from 0 to 1."""
    n, _, height, width = images.shape
    rows, columns = ((torch.arange(size) + 0.5) / size for size in (height, width))
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij")).expand(n, -1, -1, -1)


def moved(image: Tensor, down: int, across: int) -> Tensor:
    """Return an image [c, h, w] moved by hand, with its border reflected."""
    rows, columns = (
        torch.tensor([(size - 1) - abs((size - 1) - abs(place + by)) for place in range(size)])
        for size, by in zip(image.shape[1:], (down, across), strict=True)
    )
    return image[:, rows][:, :, columns]


def some(count: int) -> Tensor:
    """Return a mask of two of three images."""
    return torch.arange(count) % 3 > 0


def test_the_images_of_the_mask_alone_are_flipped_left_to_right():
    mask = some(len(IMAGES))

    flipped = flip_lr(IMAGES, mask)

    assert torch.equal(flipped[mask], IMAGES[mask].flip(3))
    assert torch.equal(flipped[~mask], IMAGES[~mask])


def test_flipped_twice_an_image_is_itself_again():
    mask = some(len(IMAGES))

    assert torch.equal(flip_lr(flip_lr(IMAGES, mask), mask), IMAGES)


def test_a_shift_moves_each_image_by_up_to_two_pixels_and_reflects_the_border():
    images = IMAGES[:100]
    offsets = [(down, across) for down in range(-2, 3) for across in range(-2, 3)]

    shifted = random_shift(images, generator())

    seen = [
        [by for by in offsets if torch.equal(after, moved(before, *by))]
        for before, after in zip(images, shifted, strict=True)
    ]
    assert all(len(by) == 1 for by in seen)
    assert len({by[0] for by in seen}) > 20


def test_the_generator_alone_decides_how_images_are_shifted():
    once, again, other = (random_shift(IMAGES, generator(seed)) for seed in (1, 1, 2))

    assert torch.equal(once, again)
    assert not torch.equal(once, other)


@pytest.mark.parametrize(
    "augmentation",
    [lambda images: flip_lr(images, some(len(images))), lambda images: random_shift(images, generator())],
    ids=["flip", "shift"],
)
class TestBoth:
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64])
    @pytest.mark.parametrize("shape", [(5, 1, 28, 28), (5, 3, 32, 32), (1, 3, 9, 12)])
    def test_shape_and_type_stay(self, augmentation, shape, dtype):
        images = torch.rand(shape).to(dtype)

        augmented = augmentation(images)

        assert augmented.shape == images.shape
        assert augmented.dtype == dtype

    def test_the_given_batch_stays_as_it_is(self, augmentation):
        images = IMAGES.clone()

        augmentation(images)

        assert torch.equal(images, IMAGES)


def test_each_image_loses_a_square_at_a_place_of_its_own():
    images = torch.ones(50, 3, 32, 28)

    cut = cutout(images, torch.Generator().manual_seed(0), side=5)

    blank = cut[:, 0] == 0
    assert torch.equal(cut == 0, blank[:, None].expand_as(cut))
    assert blank.flatten(1).sum(1).tolist() == [25] * 50
    assert {int(rows.sum()) for rows in blank.any(2)} == {int(columns.sum()) for columns in blank.any(1)} == {5}
    assert len({tuple(mask.nonzero()[0].tolist()) for mask in blank}) > 25


def test_a_square_reaches_every_border():
    cut = cutout(torch.ones(500, 1, 9, 9), torch.Generator().manual_seed(0), side=8)

    assert {tuple(mask.nonzero()[0].tolist()) for mask in cut[:, 0] == 0} == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_a_zoomed_image_is_a_square_of_the_image_in_full_size():
    zoomed = random_zoom(where_it_is(IMAGES), generator(), least=0.5)
    low, high = zoomed.amin((2, 3)), zoomed.amax((2, 3))
    shares = (high - low) / (1 - 1 / 8)  # from the middle of the first pixel to that of the last

    assert (low >= 0).all()
    assert (high <= 1).all()
    assert torch.allclose(shares[:, 0], shares[:, 1], atol=0.1)
    assert 0.4 < shares.min() < 0.6
    assert 0.9 < shares.max() <= 1 + 1e-5
    assert low.std() > 0.05


def test_the_generator_decides_how_images_are_zoomed():
    first, again, other = (random_zoom(IMAGES, generator(seed)) for seed in (1, 1, 2))

    assert torch.equal(first, again)
    assert not torch.equal(first, other)
