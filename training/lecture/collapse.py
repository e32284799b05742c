"""Two linear layers collapse into one; with a nonlinearity between them they do not."""

import torch
from torch import Tensor

from training.lecture.agreement import ROUNDING_TOLERANCE, Row
from training.lecture.section import Lesson, Section, Table
from training.lecture.xor import least_squares


def two_layers() -> tuple[Tensor, ...]:
    """Return random x [1000, 5] and two layers: w1 [5, 8], b1 [8], w2 [8, 3], b2 [3]."""
    generator = torch.Generator().manual_seed(0)
    shapes = ((1_000, 5), (5, 8), (8,), (8, 3), (3,))
    return tuple(torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)


def collapsed(w1: Tensor, b1: Tensor, w2: Tensor, b2: Tensor) -> tuple[Tensor, Tensor]:
    """Return w [d, q] and b [q] of the one layer that equals two linear layers (the lecture's equation 9)."""
    return w1 @ w2, b1 @ w2 + b2


def unexplained_variance(x: Tensor, y: Tensor) -> float:
    """Return the share of the variance of y [n, q] that the best linear model of x [n, d] leaves unexplained."""
    beta, alpha = least_squares(x, y)
    return float((y - x @ beta - alpha).var(0).sum() / y.var(0).sum())


def section(_: Lesson) -> Section:
    """Return the section."""
    x, w1, b1, w2, b2 = two_layers()
    w, b = collapsed(w1, b1, w2, b2)
    linear, nonlinear = (x @ w1 + b1) @ w2 + b2, (x @ w1 + b1).relu() @ w2 + b2
    difference = float((linear - (x @ w + b)).abs().max())
    left = unexplained_variance(x, linear), unexplained_variance(x, nonlinear)
    return Section(
        title="Two linear layers are one",
        blocks=(
            "Why must hidden units be nonlinear? Put one linear layer on another and multiply out: "
            "`(XW₁ + b₁)W₂ + b₂ = X(W₁W₂) + (b₁W₂ + b₂)`. This is a linear layer again, with `W = W₁W₂` and "
            "`b = b₁W₂ + b₂`. However many are stacked, nothing is gained.",
            f"A check on {len(x):,} random inputs with {x.shape[1]} features, and {len(b1)} hidden units: the best "
            "linear model explains all answers of the two linear layers, except for rounding. With ReLU between them "
            "it leaves part of the answers' variance unexplained, so no linear model gives the same answers. The table "
            "shows that part; 1e-30 means 10⁻³⁰.",
            Table(
                ("Hidden layer", "Unexplained variance"),
                [("linear", f"{max(left[0], 0):.1e}"), ("ReLU", f"{left[1]:.1%}")],
                "The same weights with and without the nonlinearity.",
            ),
        ),
        rows=(
            Row(
                "Two linear layers",
                "Y = XW + b, with W = W₁W₂ and b = b₁W₂ + b₂",
                f"largest difference {difference:.1e}",
                difference <= ROUNDING_TOLERANCE,
                f"at most {ROUNDING_TOLERANCE:g}, for rounding",
            ),
            Row(
                "A nonlinearity between them",
                "no longer possible to collapse into a linear model",
                f"the best linear model leaves {left[1]:.1%} of the variance unexplained",
                left[1] > 0.01 > ROUNDING_TOLERANCE > left[0],
                "more than 1%; for the linear layers, nothing but rounding",
            ),
        ),
        code=("collapse.collapsed", "collapse.unexplained_variance"),
    )
