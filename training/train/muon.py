"""Muon: momentum whose matrices are orthogonalized before each step (Jordan et al. 2024)."""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.optim import Optimizer

# Of the quintic Newton-Schulz iteration: they bring all singular values near 1 soonest (Jordan et al. 2024).
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5


class Muon(Optimizer):
    """The optimizer for matrices and convolution kernels [out, ...]; each keeps the norm of an orthogonal matrix."""

    def __init__(self, parameters: Iterable[Tensor], lr: float, momentum: float = 0.9) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Take one step along the orthogonalized Nesterov momentum."""
        for group in self.param_groups:
            for weights in group["params"]:
                state = self.state[weights]
                if not state:
                    state["momentum"] = torch.zeros_like(weights)
                momentum = state["momentum"]
                momentum.mul_(group["momentum"]).add_(weights.grad)
                update = weights.grad.add(momentum, alpha=group["momentum"])
                weights.mul_(len(weights) ** 0.5 / weights.norm())
                weights.add_(orthogonalize(update.flatten(1)).view_as(weights), alpha=-group["lr"])


def orthogonalize(matrix: Tensor) -> Tensor:
    """Return nearly the closest matrix [rows, columns] whose singular values are all 1, by Newton-Schulz iteration."""
    a, b, c = COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix).bfloat16()
    x = x / (x.norm() + 1e-7)
    for _ in range(ITERATIONS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    orthogonal: Tensor = x.T if tall else x
    return orthogonal.to(matrix.dtype)
