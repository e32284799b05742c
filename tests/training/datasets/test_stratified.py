"""The validation images and the folds of own images: some of each label."""

import numpy as np
import pytest
import torch

from training.datasets.labelled import LabelledImages
from training.datasets.stratified import FOLDS, stratified_folds, stratified_split


def images(*counts: int) -> LabelledImages:
    """Return so many images of each label, each with a value of its own."""
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    return LabelledImages(torch.arange(len(labels))[:, None, None, None], labels)


def counts(images: LabelledImages, labels: int) -> list[int]:
    return images.labels.bincount(minlength=labels).tolist()


@pytest.mark.parametrize(
    ("trained", "wanted", "validation"),
    [
        ((100, 50, 30), 18, [10, 5, 3]),
        ((300, 12, 12, 5), 32, [29, 1, 1, 1]),
        ((300, 4), 30, [30, 0]),
        ((8, 8, 8), 2, [1, 1, 1]),
    ],
    ids=["each its share", "small labels one", "too few to spare one", "more than wanted"],
)
def test_each_label_has_its_share_and_at_least_one_image(trained, wanted, validation):
    train, found = stratified_split(images(*trained), wanted)

    assert counts(found, len(trained)) == validation
    assert len(train) == sum(trained) - len(found)


def test_the_images_are_mixed_and_none_is_in_both_parts():
    train, validation = stratified_split(images(40, 20), 6)

    both = torch.cat([train.pixels, validation.pixels]).flatten()
    assert both.sort().values.tolist() == list(range(60))
    assert len(train.labels[:15].unique()) == 2
    assert torch.equal(train.labels, (train.pixels.flatten() >= 40).long())


def test_it_is_the_same_each_time():
    (_, first), (_, second) = (stratified_split(images(40, 20), 6) for _ in range(2))

    assert torch.equal(first.pixels, second.pixels)


def test_each_fold_has_its_share_of_each_label():
    labels = torch.tensor([0] * 50 + [1] * 11 + [2] * 5)

    folds = stratified_folds(labels)

    counts = np.array([np.bincount(folds[labels == label], minlength=FOLDS) for label in range(3)])
    assert counts.min(1).tolist() == [10, 2, 1]
    assert counts.max(1).tolist() == [10, 3, 1]
    assert folds[:FOLDS].tolist() != list(range(FOLDS))


def test_each_combination_of_labels_has_its_share_in_each_fold():
    truth = torch.tensor([[True, False]] * 10 + [[True, True]] * 10 + [[False, False]] * 5)

    folds = stratified_folds(truth)

    counts = [part.bincount().tolist() for part in folds.split((10, 10, 5))]
    assert counts == [[2] * FOLDS, [2] * FOLDS, [1] * FOLDS]
