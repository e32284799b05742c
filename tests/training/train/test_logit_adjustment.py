"""Biases that make up for uneven numbers of images: a rare label is predicted as often as others."""

import pytest
import torch
from torch import Tensor

from training.task import SINGLE
from training.train.logit_adjustment import adjust_biases

FEATURES = 200  # more than the rare label has images: a regression then separates them and learns little of the label
PENALTY = 1.0


def drawn(counts: tuple[int, ...], seed: int) -> tuple[Tensor, Tensor]:
    """Return features [n, FEATURES] of so many images of each label, around a middle of its own, and labels [n]."""
    middles = 0.15 * torch.randn(len(counts), FEATURES, generator=torch.Generator().manual_seed(0))
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    noise = torch.randn(len(labels), FEATURES, generator=torch.Generator().manual_seed(seed))
    return middles[labels] + noise, labels


def fitted(counts: tuple[int, ...], copies: int = 1, adjusted: bool = True):
    features, labels = drawn(counts, seed=1)
    features = features.repeat(copies, 1)
    head = SINGLE.fit_layer(features, labels.repeat(copies), PENALTY, len(counts))
    if adjusted:
        adjust_biases(head, features, labels, PENALTY)
    return head


def recalls(head) -> Tensor:
    """Return each label's recall."""
    features, labels = drawn((400,) * head.out_features, seed=2)
    return (head(features).argmax(1) == labels).float().view(head.out_features, -1).mean(1)


@pytest.mark.parametrize("copies", [1, 2])
def test_a_rare_label_is_predicted_more_often_and_the_others_hardly_less(copies):
    plain, adjusted = (recalls(fitted((60, 60, 60, 12), copies, each)) for each in (False, True))

    assert plain[3] < 0.25
    assert adjusted[3] > 2 * plain[3]
    assert adjusted.mean() > plain.mean() - 0.01


def test_labels_with_about_as_many_images_as_each_other_keep_their_biases():
    assert torch.equal(fitted((30, 40, 50)).bias, fitted((30, 40, 50), adjusted=False).bias)


def test_a_label_with_fewer_images_than_folds_keeps_its_bias():
    counts = 40, 12, 4, 0
    plain, adjusted = fitted(counts, adjusted=False).bias, fitted(counts).bias

    assert torch.equal(adjusted[2:], plain[2:])
    assert not torch.equal(adjusted[:2], plain[:2])


def test_one_label_alone_with_enough_images_changes_nothing():
    assert torch.equal(fitted((40, 4)).bias, fitted((40, 4), adjusted=False).bias)
