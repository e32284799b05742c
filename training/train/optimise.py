"""A recipe's optimisers, and the schedules that their learning rates follow."""

from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.optim import AdamW, Optimizer

from training.recipes import Recipe
from training.train.muon import Muon

RISING_SHARE = 0.2


class Optimisation:
    """What turns gradients into steps, from the first to the last of a training."""

    def __init__(self, recipe: Recipe, network: nn.Module, steps: int) -> None:
        self._optimisers = optimisers(recipe, network)
        self._schedule = SCHEDULES[recipe.schedule]
        self._steps = steps
        self._step = 0

    @property
    def learning_rate(self) -> float:
        """The rate of the last step, of the first of the optimisers."""
        return float(self._optimisers[0].param_groups[0]["lr"])

    def step(self) -> None:
        """Take one step along the gradients, at the rate that is due."""
        share = self._schedule(self._step, self._steps)
        for optimiser in self._optimisers:
            for group in optimiser.param_groups:
                group["lr"] = share * group.setdefault("highest", group["lr"])
            optimiser.step()
        self._step += 1

    def state(self) -> dict[str, Any]:
        """Return what another of the same recipe needs to go on from here."""
        return {"step": self._step, "optimisers": [optimiser.state_dict() for optimiser in self._optimisers]}

    def go_on(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self._step = state["step"]
        for optimiser, saved in zip(self._optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)


def optimisers(recipe: Recipe, network: nn.Module) -> list[Optimizer]:
    """Return AdamW for all parameters, or Muon for the hidden matrices and kernels and AdamW for the rest."""
    trained = [weights for weights in network.parameters() if weights.requires_grad]
    matrices = [weights for weights in trained if weights.ndim > 1][:-1] if recipe.muon else []
    others = [weights for weights in trained if not any(weights is matrix for matrix in matrices)]
    # Without weight decay AdamW is Adam; epsilon is that of Keras, which the lecture used.
    adam = AdamW(others, recipe.learning_rate, weight_decay=recipe.weight_decay, eps=1e-7)
    return [Muon(matrices, recipe.muon, recipe.momentum), adam] if recipe.muon else [adam]


def one_cycle(step: int, steps: int) -> float:
    """Return the share of the highest rate at a step: up in a line for a fifth of the steps, then down to nothing."""
    rising = max(1, round(RISING_SHARE * steps))
    return min((step + 1) / rising, (steps - step) / max(1, steps - rising))


def falling(step: int, steps: int) -> float:
    """Return the share of the highest rate at a step: down in a line from the first step on."""
    return 1 - step / steps


def constant(_: int, steps: int) -> float:
    """Return the same share of the rate at every step."""
    return 1.0


SCHEDULES = {"one-cycle": one_cycle, "falling": falling, "constant": constant}
