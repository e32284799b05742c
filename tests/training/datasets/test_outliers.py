import pytest
import torch

from training.datasets.outliers import KINDS, outliers, parts


@pytest.fixture
def pixels():
    return torch.randint(0, 256, (45, 28, 28, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def drawn(pixels, seed=1):
    return outliers(pixels, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(45, 28, 28, 1), (45, 32, 32, 3), (9, 64, 64, 3), (4, 30, 30, 1)])
def test_there_is_an_outlier_for_each_image_of_its_shape_and_type(shape):
    made = drawn(torch.randint(0, 256, shape, dtype=torch.uint8))

    assert tuple(made.shape) == shape
    assert made.dtype == torch.uint8


@pytest.mark.parametrize("n", [1, 14, 25, 27])
def test_no_outlier_is_its_image_as_it_is_however_few_there_are(pixels, n):
    images = pixels[:n, ..., :1]

    assert ((drawn(images) != images).flatten(1).float().mean(1) > 0.4).all()


def test_the_seed_decides_the_outliers(pixels):
    assert torch.equal(drawn(pixels), drawn(pixels))
    assert not torch.equal(drawn(pixels), drawn(pixels, seed=2))


def test_every_other_outlier_is_grey(pixels):
    made = drawn(pixels)

    colourless = (made == made[..., :1]).flatten(1).all(1)
    assert colourless[::2].all()
    assert colourless[1::2].float().mean() < 0.5


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_outlier_differs_from_its_image_and_from_all_others(kind):
    images = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(0))

    made = kind(images, torch.Generator().manual_seed(1))

    assert made.shape == images.shape
    assert made.isfinite().all()
    assert ((made - images).abs().mean((1, 2, 3)) > 0.02).all()
    assert len({tuple(image.flatten().tolist()) for image in made}) == len(images)


@pytest.mark.parametrize("across", [2, 4])
def test_shuffling_keeps_every_pixel(across):
    images = torch.rand(5, 1, 28, 28, generator=torch.Generator().manual_seed(0))

    mixed = KINDS[0](images, torch.Generator().manual_seed(1), across=across)

    assert torch.equal(mixed.flatten(1).sort().values, images.flatten(1).sort().values)


def test_a_part_of_what_an_image_shows_fills_it():
    images = torch.zeros(40, 1, 28, 28)
    images[:, :, 4:24, 10:18] = 1

    made = parts(images, torch.Generator().manual_seed(1))

    shown = made > 0.1
    down, across = shown.any(3).sum(2), shown.any(2).sum(2)
    assert (torch.maximum(down, across) >= 26).all()
    proportion = (down / across)[:, 0]  # of the part: 20 by 2 to 5 pixels, or 6 to 12 by 8
    beside = proportion > 2.5
    assert 10 < int(beside.sum()) < 30
    assert ((proportion > 0.6) & (proportion < 1.7))[~beside].all()


def test_an_image_that_shows_nothing_has_parts_that_show_nothing():
    assert not parts(torch.zeros(3, 1, 28, 28), torch.Generator()).any()
