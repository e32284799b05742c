"""Optimizers: the weights of each, and its learning rate at each step."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.optim import AdamW

from training.networks.cnn import CNN
from training.networks.mlp import MLP
from training.networks.net import Net
from training.recipe import Recipe
from training.recipes import RECIPES
from training.train.muon import Muon
from training.train.optimizers import Optimizers, make_optimizers
from training.train.schedule import SCHEDULES, Schedule

PLAIN, WITH_MUON = RECIPES["lecture-mlp"], RECIPES["lecture-mlp-fast"]


def network() -> nn.Sequential:
    """Return a small network with the same weights each time."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3))


def optimizers_of(recipe: Recipe, own: nn.Module, steps: int = 10) -> Optimizers:
    return Optimizers(recipe, own, Schedule(replace(recipe, epochs=1), steps))


def take_steps(recipe: Recipe, own: nn.Module, optimizers: Optimizers, first: int, last: int) -> None:
    """Take the steps from first to last; the input of a step depends on its number alone."""
    for step in range(first, last):
        images = torch.rand(8, 6, generator=torch.Generator().manual_seed(step))
        own.zero_grad()
        own(images).square().sum().backward()
        optimizers.step()


@pytest.mark.parametrize("kind", [MLP, CNN, lambda: Net(channels=1)], ids=["mlp", "cnn", "net"])
@pytest.mark.parametrize("recipe", [PLAIN, WITH_MUON], ids=["adamw", "muon"])
def test_each_trainable_weight_has_one_optimizer_and_each_frozen_one_none(kind, recipe):
    own = kind()

    optimized = [
        weights for each in make_optimizers(recipe, own) for group in each.param_groups for weights in group["params"]
    ]

    trained = {name: weights for name, weights in own.named_parameters() if weights.requires_grad}
    assert sorted(map(id, optimized)) == sorted(map(id, trained.values()))


def test_muon_takes_the_hidden_matrices_and_kernels_and_adamw_the_last_layer_and_the_biases():
    own = CNN()

    muon, adam = make_optimizers(WITH_MUON, own)

    last = own[-1].weight
    matrices = [weights for weights in own.parameters() if weights.ndim > 1 and weights is not last]
    assert (type(muon), type(adam)) == (Muon, AdamW)
    assert list(map(id, muon.param_groups[0]["params"])) == list(map(id, matrices))
    assert {weights.ndim for weights in adam.param_groups[0]["params"] if weights is not last} == {1}


def test_a_recipe_without_muon_has_adamw_alone():
    (only,) = make_optimizers(PLAIN, MLP())

    assert type(only) is AdamW


def test_rate_momentum_and_decay_are_those_of_the_recipe():
    recipe = replace(WITH_MUON, learning_rate=0.02, muon=0.3, momentum=0.7, weight_decay=0.4)

    muon, adam = (each.param_groups[0] for each in make_optimizers(recipe, MLP()))

    assert (muon["lr"], muon["momentum"]) == (0.3, 0.7)
    assert (adam["lr"], adam["weight_decay"]) == (0.02, 0.4)


@pytest.mark.parametrize(("recipe", "highest"), [(PLAIN, PLAIN.learning_rate), (WITH_MUON, WITH_MUON.muon)])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_each_step_is_taken_at_the_scheduled_rate(recipe, highest, schedule):
    own = network()
    optimizers = optimizers_of(replace(recipe, schedule=schedule), own)
    rates = []

    for step in range(10):
        take_steps(recipe, own, optimizers, step, step + 1)
        rates.append(optimizers.learning_rate)

    assert rates == pytest.approx([highest * SCHEDULES[schedule](step, 10) for step in range(10)])


def test_at_a_rate_of_0_weights_stay_as_they_are():
    own, before = network(), network()
    optimizers = optimizers_of(replace(PLAIN, learning_rate=0.0), own, steps=3)

    take_steps(PLAIN, own, optimizers, 0, 3)

    assert torch.equal(own[0].weight, before[0].weight)


@pytest.mark.parametrize("recipe", [PLAIN, WITH_MUON], ids=["adamw", "muon"])
def test_a_training_resumed_from_a_state_ends_as_an_uninterrupted_one(recipe, tmp_path):
    recipe = replace(recipe, schedule="one-cycle", weight_decay=0.1)
    whole, half, rest = network(), network(), network()
    take_steps(recipe, whole, optimizers_of(recipe, whole), 0, 10)
    first = optimizers_of(recipe, half)
    take_steps(recipe, half, first, 0, 4)
    torch.save({"network": half.state_dict(), "optimizers": first.state_dict()}, tmp_path / "state.pt")

    state = torch.load(tmp_path / "state.pt", weights_only=True)
    second = optimizers_of(recipe, rest)
    rest.load_state_dict(state["network"])
    second.load_state_dict(state["optimizers"])
    take_steps(recipe, rest, second, 4, 10)

    assert all(map(torch.equal, rest.state_dict().values(), whole.state_dict().values()))
