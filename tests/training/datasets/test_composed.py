"""Composed photos: each shows its garment or thing on a ground, in colours of its own, and the seed decides it."""

import pytest
import torch

from training.datasets import composed
from training.datasets.composed import garment_photos, thing_photos
from training.datasets.patterns import GROUNDS, blobs, folds, grounds, noise, prints

COUNT = 24


def seeded(seed=1):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def garments():
    """Return shirts of a sort: a body with sleeves, white on black."""
    images = torch.zeros(COUNT, 1, 28, 28)
    images[:, :, 3:25, 9:19] = images[:, :, 4:10, 3:25] = 0.7
    return images


@pytest.fixture
def things():
    return torch.rand(COUNT, 3, 32, 32, generator=seeded(0))


@pytest.mark.parametrize("side", [32, 28])
def test_each_garment_and_each_thing_gets_a_photo_of_the_side_asked_for(garments, things, side):
    for photos in (garment_photos(garments, seeded(), side), thing_photos(things, seeded(), side)):
        assert photos.shape == (COUNT, 3, side, side)
        assert photos.isfinite().all()
        assert (photos.min() >= 0, photos.max() <= 1) == (True, True)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_few_images_are_composed_too(garments, things, count):
    assert len(garment_photos(garments[:count], seeded())) == count
    assert len(thing_photos(things[:count], seeded())) == count


def test_the_seed_decides_the_photos(garments):
    assert torch.equal(garment_photos(garments, seeded()), garment_photos(garments, seeded()))
    assert not torch.equal(garment_photos(garments, seeded()), garment_photos(garments, seeded(2)))


def test_no_two_photos_of_a_garment_are_alike(garments):
    photos = garment_photos(garments, seeded())

    assert len({tuple(photo.flatten().tolist()) for photo in photos}) == COUNT


def test_a_part_of_the_photos_is_grey_in_both_domains(garments, things):
    for photos in (
        garment_photos(garments.repeat(8, 1, 1, 1), seeded()),
        thing_photos(things.repeat(8, 1, 1, 1), seeded()),
    ):
        colourless = ((photos - photos[:, :1]).abs().amax((1, 2, 3)) < 0.1).float().mean()
        assert 0.2 < colourless < 0.8


@pytest.mark.parametrize("draw", [*dict.fromkeys(GROUNDS), grounds, prints], ids=lambda draw: draw.__name__)
def test_each_ground_is_an_image_and_none_is_like_another(draw):
    drawn = draw(COUNT, 48, seeded())

    assert drawn.shape == (COUNT, 3, 48, 48)
    assert drawn.isfinite().all()
    assert len({tuple(image.flatten().tolist()) for image in drawn}) == COUNT


def test_noise_and_folds_have_the_mean_0():
    assert noise(COUNT, 1, 48, seeded(), low=1).mean((1, 2, 3)).abs().max() < 0.05
    assert folds(COUNT, 48, seeded()).mean().abs() < 0.2


def test_a_blob_covers_the_middle_and_leaves_the_ground():
    covered = blobs(COUNT, 48, seeded())

    assert (covered.min(), covered.max()) == (0, 1)
    assert covered[:, :, 20:28, 20:28].mean() > 0.8
    assert (covered.mean((1, 2, 3)) < 0.95).all()


def test_to_grey_takes_the_colour_of_those_that_are_named(things):
    grey = composed.to_grey(things, torch.arange(COUNT).view(-1, 1, 1, 1) % 2 == 0)

    assert torch.equal(grey[::2, 0], grey[::2, 2])
    assert torch.equal(grey[1::2], things[1::2])
