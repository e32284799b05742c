from functools import partial

import pytest
import torch
from torch import nn

from training.networks.base import Mirrored, count_parameters, initialize
from training.networks.cnn import CNN
from training.networks.mlp import MLP
from training.networks.net import Net


@pytest.mark.parametrize(
    ("kind", "shape"),
    [(MLP, (2, 1, 28, 28)), (CNN, (2, 3, 32, 32)), (partial(Net, 3), (2, 3, 32, 32))],
    ids=["mlp", "cnn", "net"],
)
def test_a_network_has_as_many_outputs_as_classes(kind, shape):
    assert kind(classes=4)(torch.zeros(shape)).shape == (2, 4)


def test_a_mirrored_network_gives_an_image_and_the_flipped_image_the_same_logits():
    network = CNN()
    images = torch.rand(4, 3, 32, 32)

    logits = Mirrored(network)(images)

    assert torch.equal(logits, Mirrored(network)(images.flip(3)))
    assert torch.allclose(logits, (network(images) + network(images.flip(3))) / 2)
    assert not torch.allclose(network(images), network(images.flip(3)), atol=1e-4)


def test_frozen_parameters_are_not_counted():
    layer = nn.Linear(3, 2)
    layer.bias.requires_grad_(False)

    assert count_parameters(layer) == 6


@pytest.mark.parametrize(
    ("layer", "fan_in", "fan_out"), [(nn.Linear(300, 100), 300, 100), (nn.Conv2d(16, 32, 3), 16 * 9, 32 * 9)]
)
def test_weights_are_drawn_from_glorots_uniform_distribution_and_biases_are_zero(layer, fan_in, fan_out):
    bound = (6 / (fan_in + fan_out)) ** 0.5

    initialize(nn.Sequential(layer))

    assert 0.95 * bound < float(layer.weight.detach().abs().max()) <= bound
    assert float(layer.weight.detach().std()) == pytest.approx(bound / 3**0.5, rel=0.05)
    assert not layer.bias.detach().any()


def test_a_layer_without_biases_is_initialized_too():
    layer = nn.Linear(300, 100, bias=False)
    nn.init.zeros_(layer.weight)

    initialize(layer)

    assert layer.weight.detach().any()
