import numpy as np
import pytest

from training.datasets import foreign
from training.datasets.foreign import Known, foreign_sets


@pytest.fixture
def garments_known(garments):
    return Known("Fashion-MNIST", garments.test.pixels.numpy(), "garment")


@pytest.fixture
def things_known(things):
    return Known("CIFAR-10", things.test.pixels.numpy(), "photo")


def test_garments_are_told_from_things_noise_digits_and_their_own_negatives(garments_known, data_dir):
    sets = dict(foreign_sets(garments_known, data_dir, print))

    assert list(sets) == ["CIFAR-10 in grey", "noise", "digits", "inverted garments"]
    assert {pixels.shape for pixels in sets.values()} == {(foreign.COUNT, 28, 28, 1)}
    assert {pixels.dtype for pixels in sets.values()} == {np.dtype(np.uint8)}
    np.testing.assert_array_equal(255 - sets["inverted garments"], garments_known.pixels[: foreign.COUNT])


def test_things_are_told_from_garments_noise_digits_and_parts_of_photos(things_known, data_dir):
    sets = dict(foreign_sets(things_known, data_dir, print))

    assert list(sets) == ["Fashion-MNIST in colour", "noise", "digits", "photo crops"]
    assert {pixels.shape for pixels in sets.values()} == {(foreign.COUNT, 32, 32, 3)}
    assert (sets["digits"] == sets["digits"][..., :1]).all()
    assert sets["digits"].max() == 255
    assert (sets["photo crops"] != sets["photo crops"][..., :1]).any()


def test_they_are_the_same_every_time(things_known, data_dir):
    first, again = (dict(foreign_sets(things_known, data_dir, print)) for _ in range(2))

    assert all((first[name] == again[name]).all() for name in first)


def test_a_data_set_that_is_not_at_hand_is_left_out_and_said(things_known, tmp_path):
    told = []

    names = [name for name, _ in foreign_sets(things_known, tmp_path, told.append)]

    assert names == ["noise", "digits", "photo crops"]
    assert told == [
        "novelty is not measured against Fashion-MNIST: fashion-mnist/train-images-idx3-ubyte.gz is in none of the "
        "places where data is looked for"
    ]
