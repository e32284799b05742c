"""Regressions: of scikit-learn, fitted as far as their iterations go, and by L-BFGS."""

import warnings
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor


def fitted(regression: Any, *data: Any) -> Any:
    """Fit a regression and return it, without a warning where it has not converged.

    Its penalty bounds the weights then, too; with the few images of a rehearsal that happens, and nobody can mend it.
    """
    from sklearn.exceptions import ConvergenceWarning  # here, since most trainings do without it

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return regression.fit(*data)


def minimize(loss: Callable[[], Tensor], weights: Iterable[Tensor], max_iterations: int) -> None:
    """Change weights, in which a loss is convex, until it is least, by L-BFGS."""
    optimizer = torch.optim.LBFGS(weights, max_iter=max_iterations, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    optimizer.step(closure)
