import numpy as np
import pytest

from training.evaluation.ood_sets import KnownImages, ood_sets

SIZE = 60


@pytest.fixture
def known_garments(garments):
    return KnownImages("Fashion-MNIST", garments.test.pixels.numpy(), "garment")


@pytest.fixture
def known_things(things):
    return KnownImages("CIFAR-10", things.test.pixels.numpy(), "photo")


def test_the_sets_for_garments_are_things_noise_digits_and_their_own_negatives(known_garments, data_dir):
    sets = dict(ood_sets(known_garments, data_dir, print, SIZE))

    assert list(sets) == ["CIFAR-10 in grey", "noise", "digits", "inverted garments"]
    assert {pixels.shape for pixels in sets.values()} == {(SIZE, 28, 28, 1)}
    assert {pixels.dtype for pixels in sets.values()} == {np.dtype(np.uint8)}
    np.testing.assert_array_equal(255 - sets["inverted garments"], known_garments.pixels[:SIZE])


def test_the_sets_for_things_are_garments_noise_digits_and_parts_of_photos(known_things, data_dir):
    sets = dict(ood_sets(known_things, data_dir, print, SIZE))

    assert list(sets) == ["Fashion-MNIST in colour", "noise", "digits", "photo crops"]
    assert {pixels.shape for pixels in sets.values()} == {(SIZE, 32, 32, 3)}
    assert (sets["digits"] == sets["digits"][..., :1]).all()
    assert sets["digits"].max() == 255
    assert (sets["photo crops"] != sets["photo crops"][..., :1]).any()


def test_the_sets_are_the_same_every_time(known_things, data_dir):
    first, again = (dict(ood_sets(known_things, data_dir, print, SIZE)) for _ in range(2))

    assert all((first[name] == again[name]).all() for name in first)


def test_a_data_set_that_is_not_available_is_left_out_with_a_warning(known_things, tmp_path):
    warnings = []

    names = [name for name, _ in ood_sets(known_things, tmp_path, warnings.append, SIZE)]

    (warning,) = warnings
    assert names == ["noise", "digits", "photo crops"]
    assert warning.startswith(
        "novelty is not measured against Fashion-MNIST: fashion-mnist/train-images-idx3-ubyte.gz is not in --data-dir, "
        "THIMBLE_DATA, "
    )
