"""Whether images may be flipped, by the logits of a network that learned from none flipped."""

import torch
from torch import Tensor

from training.train.flips import labels_allow_flips

LABELS = torch.arange(40) % 4


def logits(right: Tensor) -> Tensor:
    """Return logits that give LABELS where right, and otherwise the next label, each a little more or less surely."""
    sure = 2 + torch.rand(len(LABELS), 1, generator=torch.Generator().manual_seed(int(right.sum())))
    return sure * torch.nn.functional.one_hot(torch.where(right, LABELS, (LABELS + 1) % 4), 4)


def first(count: int) -> Tensor:
    """Return a mask [40] of so many images."""
    return torch.arange(40) < count


def test_images_that_are_classified_as_well_mirrored_may_be_flipped():
    assert labels_allow_flips(logits(first(30)), logits(first(30).flip(0)), LABELS)


def test_images_that_are_classified_less_well_mirrored_may_not_be_flipped():
    assert not labels_allow_flips(logits(first(36)), logits(first(20)), LABELS)


def test_a_network_that_guesses_says_nothing_of_flips():
    assert not labels_allow_flips(logits(first(12)), logits(first(12)), LABELS)


def test_two_images_that_are_right_may_have_been_guessed():
    sure = 3 * torch.eye(2)

    assert not labels_allow_flips(sure, sure, torch.arange(2))
