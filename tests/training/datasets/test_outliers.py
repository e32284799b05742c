import pytest
import torch

from training.datasets.outliers import KINDS, outliers


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
