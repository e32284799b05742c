"""A recipe's optimizers and the schedules of their learning rates."""

from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.optim import AdamW, Optimizer

from training.recipe import Recipe
from training.train.muon import Muon

WARM_UP_SHARE = 0.2  # of the steps of a one-cycle schedule


class Optimizers:
    """The optimizers of a training with their learning-rate scheduler, from the first to the last step."""

    def __init__(self, recipe: Recipe, network: nn.Module, steps: int) -> None:
        self._optimizers = make_optimizers(recipe, network)
        self._schedule = SCHEDULES[recipe.schedule]
        self._steps = steps
        self._step = 0

    @property
    def learning_rate(self) -> float:
        """The learning rate of the first optimizer at the last step."""
        return float(self._optimizers[0].param_groups[0]["lr"])

    def step(self) -> None:
        """Take one step along the gradients, at the scheduled learning rate."""
        share = self._schedule(self._step, self._steps)
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = share * group.setdefault("highest", group["lr"])
            optimizer.step()
        self._step += 1

    def state_dict(self) -> dict[str, Any]:
        """Return the state that the optimizers of the same recipe need to resume."""
        return {"step": self._step, "optimizers": [optimizer.state_dict() for optimizer in self._optimizers]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume from a state."""
        self._step = state["step"]
        for optimizer, saved in zip(self._optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)


def make_optimizers(recipe: Recipe, network: nn.Module) -> list[Optimizer]:
    """Return AdamW for all parameters, or Muon for the hidden matrices and kernels and AdamW for the rest."""
    trainable = [weights for weights in network.parameters() if weights.requires_grad]
    matrices = [weights for weights in trainable if weights.ndim > 1][:-1] if recipe.muon else []
    others = [weights for weights in trainable if not any(weights is matrix for matrix in matrices)]
    # Without weight decay AdamW is Adam; epsilon is that of Keras, which the lecture used.
    adam = AdamW(others, recipe.learning_rate, weight_decay=recipe.weight_decay, eps=1e-7)
    return [Muon(matrices, recipe.muon, recipe.momentum), adam] if recipe.muon else [adam]


def one_cycle(step: int, steps: int) -> float:
    """Return the share of the highest learning rate: it rises linearly for a fifth of the steps, then falls to 0."""
    warm_up = max(1, round(WARM_UP_SHARE * steps))
    return min((step + 1) / warm_up, (steps - step) / max(1, steps - warm_up))


def linear(step: int, steps: int) -> float:
    """Return the share of the highest learning rate: it falls linearly from the first step on."""
    return 1 - step / steps


def constant(_: int, steps: int) -> float:
    """Return the share of the highest learning rate: always 1."""
    return 1.0


SCHEDULES = {"one-cycle": one_cycle, "linear": linear, "constant": constant}
