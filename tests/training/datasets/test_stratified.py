"""The validation images of own images: some of each label."""

import pytest
import torch

from training.datasets.labelled import LabelledImages
from training.datasets.stratified import stratified_split


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
