"""Hidden units by name: what makes a layer more than a weighted sum."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

SPREAD = 0.3  # of the centres of radial basis units, before training


class Cosine(nn.Module):
    """cos(x), for each value."""

    def forward(self, values: Tensor) -> Tensor:
        return torch.cos(values)


class RadialBasis(nn.Module):
    """Units that answer to nearness: exp(-|x - centre|^2 / inputs), [n, inputs] -> [n, units].

    Each unit has a centre where another has weights. The centres begin near the mean of inputs of mean 0 and variance
    1, from which most inputs are about as far as the width, the root of their number: where a unit is silent it
    learns nothing.
    """

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.centres = nn.Parameter(SPREAD * torch.randn(units, inputs))

    def forward(self, values: Tensor) -> Tensor:
        squared = values.square().sum(1, keepdim=True) + self.centres.square().sum(1) - 2 * values @ self.centres.T
        return torch.exp(-squared / values.shape[1])


RADIAL = "radial basis"

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {  # of a weighted sum
    "relu": nn.ReLU,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "cos": Cosine,
    "softplus": nn.Softplus,
    "hard tanh": nn.Hardtanh,
}
UNITS = (*ACTIVATIONS, RADIAL)


def hidden(kind: str, inputs: int, units: int) -> tuple[nn.Module, ...]:
    """Return the modules of a hidden layer of this kind, [n, inputs] -> [n, units]. Raises ValueError."""
    if kind == RADIAL:
        return (RadialBasis(inputs, units),)
    if kind not in ACTIVATIONS:
        raise ValueError(f"there are no hidden units called {kind!r}; there are: {', '.join(UNITS)}")
    return nn.Linear(inputs, units), ACTIVATIONS[kind]()
