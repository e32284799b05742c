"""Optimisers and schedules: which weights go where, and at which rate."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.optim import AdamW

from training.networks import CNN, MLP, Net
from training.recipes import RECIPES, Recipe
from training.train.muon import Muon
from training.train.optimise import SCHEDULES, Optimisation, constant, falling, one_cycle, optimisers

PLAIN, WITH_MUON = RECIPES["lecture-mlp"], RECIPES["lecture-mlp-fast"]


def network() -> nn.Sequential:
    """Return a small network of which every weight is the same each time."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3))


def trained(recipe: Recipe, own: nn.Module, optimisation: Optimisation, first: int, last: int) -> None:
    """Take the steps from first to last; what a step sees depends on its number alone."""
    for step in range(first, last):
        images = torch.rand(8, 6, generator=torch.Generator().manual_seed(step))
        own.zero_grad()
        own(images).square().sum().backward()
        optimisation.step()


def test_one_cycle_rises_in_a_line_for_a_fifth_of_the_steps_and_falls_to_nothing():
    shares = [one_cycle(step, 100) for step in range(101)]

    assert shares[:20] == pytest.approx([step / 20 for step in range(1, 21)])
    assert shares[20:] == pytest.approx([1 - step / 80 for step in range(81)])


def test_a_falling_rate_begins_at_its_highest_and_falls_in_a_line_to_nothing():
    assert [falling(step, 4) for step in range(5)] == [1, 0.75, 0.5, 0.25, 0]


def test_a_constant_rate_stays():
    assert {constant(step, 100) for step in range(100)} == {1.0}


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 3, 7, 100])
def test_every_step_is_taken_at_a_share_of_the_rate_above_nothing(schedule, steps):
    assert all(0 < SCHEDULES[schedule](step, steps) <= 1 for step in range(steps))


@pytest.mark.parametrize("kind", [MLP, CNN, lambda: Net(channels=1)], ids=["mlp", "cnn", "net"])
@pytest.mark.parametrize("recipe", [PLAIN, WITH_MUON], ids=["adamw", "muon"])
def test_each_weight_that_is_trained_has_one_optimiser_and_those_that_are_not_have_none(kind, recipe):
    own = kind()

    held = [weights for each in optimisers(recipe, own) for group in each.param_groups for weights in group["params"]]

    trained = {name: weights for name, weights in own.named_parameters() if weights.requires_grad}
    assert sorted(map(id, held)) == sorted(map(id, trained.values()))


def test_muon_takes_the_hidden_matrices_and_kernels_and_adamw_the_last_layer_and_the_biases():
    own = CNN()

    muon, adam = optimisers(WITH_MUON, own)

    last = own[-1].weight
    matrices = [weights for weights in own.parameters() if weights.ndim > 1 and weights is not last]
    assert (type(muon), type(adam)) == (Muon, AdamW)
    assert list(map(id, muon.param_groups[0]["params"])) == list(map(id, matrices))
    assert {weights.ndim for weights in adam.param_groups[0]["params"] if weights is not last} == {1}


def test_a_recipe_without_muon_has_adamw_alone():
    (only,) = optimisers(PLAIN, MLP())

    assert type(only) is AdamW


def test_rate_momentum_and_decay_are_those_of_the_recipe():
    recipe = replace(WITH_MUON, learning_rate=0.02, muon=0.3, momentum=0.7, weight_decay=0.4)

    muon, adam = (each.param_groups[0] for each in optimisers(recipe, MLP()))

    assert (muon["lr"], muon["momentum"]) == (0.3, 0.7)
    assert (adam["lr"], adam["weight_decay"]) == (0.02, 0.4)


@pytest.mark.parametrize(("recipe", "highest"), [(PLAIN, PLAIN.learning_rate), (WITH_MUON, WITH_MUON.muon)])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_each_step_is_taken_at_the_rate_that_is_due(recipe, highest, schedule):
    own = network()
    optimisation = Optimisation(replace(recipe, schedule=schedule), own, steps=10)
    rates = []

    for step in range(10):
        trained(recipe, own, optimisation, step, step + 1)
        rates.append(optimisation.learning_rate)

    assert rates == pytest.approx([highest * SCHEDULES[schedule](step, 10) for step in range(10)])


def test_weights_stay_where_they_are_when_the_rate_is_nothing():
    own, before = network(), network()
    optimisation = Optimisation(replace(PLAIN, learning_rate=0.0), own, steps=3)

    trained(PLAIN, own, optimisation, 0, 3)

    assert torch.equal(own[0].weight, before[0].weight)


@pytest.mark.parametrize("recipe", [PLAIN, WITH_MUON], ids=["adamw", "muon"])
def test_going_on_from_a_state_ends_where_an_uninterrupted_training_ends(recipe, tmp_path):
    recipe = replace(recipe, schedule="one-cycle", weight_decay=0.1)
    whole, half, rest = network(), network(), network()
    trained(recipe, whole, Optimisation(recipe, whole, steps=10), 0, 10)
    first = Optimisation(recipe, half, steps=10)
    trained(recipe, half, first, 0, 4)
    torch.save({"network": half.state_dict(), "optimisation": first.state()}, tmp_path / "state.pt")

    state = torch.load(tmp_path / "state.pt", weights_only=True)
    second = Optimisation(recipe, rest, steps=10)
    rest.load_state_dict(state["network"])
    second.go_on(state["optimisation"])
    trained(recipe, rest, second, 4, 10)

    assert all(map(torch.equal, rest.state_dict().values(), whole.state_dict().values()))
