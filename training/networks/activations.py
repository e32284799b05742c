"""Hidden units by name: the nonlinearities that make a layer more than a weighted sum."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

CENTRE_SPREAD = 0.3  # standard deviation of the centres of radial basis units before training


class Cosine(nn.Module):
    """cos(x), for each value."""

    def forward(self, values: Tensor) -> Tensor:
        return torch.cos(values)


class RadialBasis(nn.Module):
    """Units that respond to nearness: exp(-|x - centre|^2 / inputs), [n, inputs] -> [n, units].

    Each unit has a centre in place of weights. The centres begin near the mean of inputs of mean 0 and variance 1. Most
    inputs are about as far from that mean as the width of a unit, the square root of their number. A unit that gives
    nearly 0 would learn nothing.
    """

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.centres = nn.Parameter(CENTRE_SPREAD * torch.randn(units, inputs))

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
    """Return the modules of a hidden layer of this kind, [n, inputs] -> [n, units].

    Raises ValueError when there is no such kind.
    """
    if kind == RADIAL:
        return (RadialBasis(inputs, units),)
    if kind not in ACTIVATIONS:
        raise ValueError(f"unknown hidden units {kind!r}; known: {', '.join(UNITS)}")
    return nn.Linear(inputs, units), ACTIVATIONS[kind]()
