"""A recipe's optimizers, at the learning rates of its schedule."""

from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.optim import AdamW, Optimizer

from training.recipe import Recipe
from training.train.muon import Muon
from training.train.schedule import Schedule


class Optimizers:
    """The optimizers of a training with the schedule of their learning rates, from the first to the last step."""

    def __init__(self, recipe: Recipe, network: nn.Module, schedule: Schedule) -> None:
        self._optimizers = make_optimizers(recipe, network)
        self._schedule = schedule

    @property
    def learning_rate(self) -> float:
        """The learning rate of the first optimizer at the last step."""
        return float(self._optimizers[0].param_groups[0]["lr"])

    def step(self) -> None:
        """Take one step along the gradients, at the scheduled learning rate."""
        share = self._schedule.share
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = share * group.setdefault("highest", group["lr"])
            optimizer.step()
        self._schedule.advance()

    def state_dict(self) -> dict[str, Any]:
        """Return the state that the optimizers of the same recipe need to resume."""
        saved = [optimizer.state_dict() for optimizer in self._optimizers]
        return {"schedule": self._schedule.state_dict(), "optimizers": saved}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume from a state."""
        self._schedule.load_state_dict(state["schedule"])
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
