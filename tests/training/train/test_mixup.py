"""Mixup: what is mixed, and that a training learns from it."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from training.datasets.labelled import LabelledImages
from training.networks.mlp import MLP
from training.recipe import Recipe
from training.recipes import RECIPES
from training.train.loop import train_network
from training.train.mixup import Mixup
from training.train.trained_network import TrainedNetwork

MIXED = replace(RECIPES["lecture-mlp"], network=lambda: MLP(widths=(32,)), epochs=2, batch=50, mixup=0.4)


def draw(seed: int) -> Mixup:
    torch.manual_seed(seed)
    return Mixup.draw(8, 0.4, torch.Generator().manual_seed(seed))


def train(images: LabelledImages, recipe: Recipe = MIXED) -> TrainedNetwork:
    return train_network(recipe, images.take(slice(300)), images.take(slice(300, 400)))


def weights(trained: TrainedNetwork) -> Tensor:
    return torch.nn.utils.parameters_to_vector(trained.network.parameters()).detach()


def test_an_image_is_mixed_with_its_partner_and_counts_more():
    images, mixup = torch.rand(8, 1, 4, 4), draw(1)

    mixed = mixup.of(images, images[mixup.partners])

    assert sorted(mixup.partners.tolist()) == list(range(8))
    assert 0.5 <= mixup.share < 1
    torch.testing.assert_close(mixed[3], mixup.share * images[3] + (1 - mixup.share) * images[mixup.partners[3]])


def test_shares_differ_from_batch_to_batch():
    shares = [draw(seed).share for seed in range(100)]

    assert min(shares) < 0.6
    assert max(shares) > 0.95


@pytest.mark.trains
def test_a_network_learns_in_what_shares_two_images_were_mixed(garments):
    two = garments.train.take(slice(2))
    trained = train_network(replace(MIXED, epochs=1_500, batch=2, mixup=1.0), two, two)

    one, other = trained.normalize(two.pixels).split(1)
    unmixed, mixed = trained.network(torch.cat([one, 0.75 * one + 0.25 * other])).softmax(1)[:, two.labels]

    assert unmixed[0] > 0.95
    assert 0.1 < mixed[1] < 0.5


@pytest.mark.trains
def test_a_seed_mixes_alike_and_the_card_names_it(garments):
    one, other, unmixed = (train(garments.train, recipe) for recipe in (MIXED, MIXED, replace(MIXED, mixup=0.0)))

    assert torch.equal(weights(one), weights(other))
    assert not torch.equal(weights(one), weights(unmixed))
    assert (one.augmentations, unmixed.augmentations) == (("mixup(alpha=0.4)",), ())
