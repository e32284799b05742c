"""Activation functions: their shapes, their slopes, and the same network trained with each."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from matplotlib.axes import Axes
from torch import Tensor

from training.lecture.agreement import Row, exactly
from training.lecture.plots import COLOURS, draw
from training.lecture.section import Grid, Lesson, Plot, Section
from training.networks import MLP, parameters
from training.networks.activations import ACTIVATIONS, RADIAL, UNITS, RadialBasis
from training.recipes import LECTURE_MLP_FAST, Recipe
from training.train import fit
from training.train.course import Epoch
from training.trained import split

# Adam for all, as in the lecture: Muon is made for weights, and radial basis units have centres.
SHORT = replace(LECTURE_MLP_FAST, name="short", muon=0.0, batch=512, epochs=3)
ROUNDING = 1e-12
LIMIT = 12  # further out a sigmoid is 1 to the last digit before long


def function(kind: str) -> Callable[[Tensor], Tensor]:
    """Return what hidden units of this kind make of one number; the centre of a radial basis unit is 0."""
    if kind == RADIAL:
        unit = RadialBasis(1, 1).requires_grad_(False)
        unit.centres.zero_()
        return lambda x: unit.to(x.dtype)(x.reshape(-1, 1)).reshape(x.shape)
    return ACTIVATIONS[kind]()


def slope(kind: str, x: Tensor) -> Tensor:
    """Return the derivative at each x."""
    x = x.clone().requires_grad_()
    (derivative,) = torch.autograd.grad(function(kind)(x).sum(), x)
    return derivative


def trained(lesson: Lesson, recipe: Recipe) -> dict[str, tuple[int, Epoch]]:
    """Return, for each kind of hidden units, the parameters of the lecture's MLP and the last epoch of its training."""
    seen, held = split(recipe, lesson.garments)
    networks = {kind: partial(MLP, activation=kind) for kind in UNITS}
    return {
        kind: (parameters(network()), fit(replace(recipe, network=network), seen, held).epochs[-1])
        for kind, network in networks.items()
    }


def section(lesson: Lesson) -> Section:
    """Return the section."""
    found = trained(lesson, SHORT)
    return Section(
        title="Activation functions",
        blocks=(
            "What a hidden unit does to its weighted sum. ReLU is a hinge: slope 1 where it is awake, 0 where it "
            "sleeps, and by convention 0 at the hinge itself. Sigmoid and tanh squash: far from zero they are flat, so "
            "little gradient passes; the sigmoid lets through a quarter at most. Tanh is the sigmoid stretched to be "
            "symmetric about the origin: `tanh(x) = 2 sigmoid(2x) - 1`.",
            _plot(),
            "Softplus is ReLU with the corner rounded off, hard tanh is tanh made of three straight pieces, and cos "
            "comes back again and again. A radial basis unit has no weighted sum: it answers `exp(-|x - c|²/σ²)`, "
            "nearly nothing unless the input is near its centre.",
            _table(found),
            "Those with a weighted sum end within a few points of one another, which is why ReLU, the cheapest, is the "
            "usual choice. Radial basis units are slow to train: in 784 dimensions hardly any point is near any "
            "other. (That cos has an error of less than 1% on MNIST is not checked here: that is another data set.)",
        ),
        rows=(*_shapes(), *_trainings(found)),
        names=("nonlinearities.slope", "nonlinearities.trained", "training.networks.activations.ACTIVATIONS"),
    )


def _shapes() -> tuple[Row, ...]:
    """Return rows that hold each function against the lecture's formula for it."""
    x = torch.linspace(-LIMIT, LIMIT, 2_401, dtype=torch.float64)
    at = {kind: function(kind)(x) for kind in UNITS}
    formulas = {
        "relu": ("max{x, 0}", x.clamp_min(0)),
        "sigmoid": ("1 / (1 + exp(-x))", 1 / (1 + torch.exp(-x))),
        "tanh": ("(1 - exp(-2x)) / (1 + exp(-2x))", (1 - torch.exp(-2 * x)) / (1 + torch.exp(-2 * x))),
        "cos": ("cos(x)", torch.cos(x)),
        "softplus": ("log(1 + exp(x))", torch.log(1 + torch.exp(x))),
        "hard tanh": ("max(-1, min(1, x))", x.clamp_max(1).clamp_min(-1)),
        RADIAL: ("exp(-|x - c|²/σ²), with c = 0 and σ = 1", torch.exp(-x.square())),
    }
    differences = {kind: float((at[kind] - expected).abs().max()) for kind, (_, expected) in formulas.items()}
    within = f"within {ROUNDING:g}, for rounding, where |x| ≤ {LIMIT}"
    inside = bool(((at["sigmoid"] > 0) & (at["sigmoid"] < 1)).all())
    odd = float((at["tanh"] + at["tanh"].flip(0)).abs().max())
    return (
        *(
            Row(
                f"Formula: {kind}",
                formula,
                f"the same but for {differences[kind]:.2g}",
                differences[kind] <= ROUNDING,
                within,
            )
            for kind, (formula, _) in formulas.items()
        ),
        exactly("ReLU: its derivative at 0", 0.0, float(slope("relu", torch.zeros(())))),
        Row("Sigmoid: its range", "(0, 1)", "inside" if inside else "outside", inside, f"everywhere in |x| ≤ {LIMIT}"),
        Row("Tanh: about the origin", "point symmetry", f"the same but for {odd:.2g}", odd <= ROUNDING, within),
    )


def _trainings(found: dict[str, tuple[int, Epoch]]) -> tuple[Row, ...]:
    errors = {kind: 1 - epoch.held_accuracy for kind, (_, epoch) in found.items()}
    best = min(errors, key=lambda kind: errors[kind])
    return (
        Row(
            "ReLU: its performance",
            "good on a variety of tasks",
            f"validation error {errors['relu']:.1%}; the best, {best}, has {errors[best]:.1%}",
            errors["relu"] < errors[best] + 0.02,
            "at most 2 points behind the best of the kinds",
        ),
    )


def _table(found: dict[str, tuple[int, Epoch]]) -> Grid:
    rows = [
        (kind, f"{size:,}", f"{epoch.loss:.4f}", f"{epoch.held_loss:.4f}", f"{epoch.held_accuracy:.4f}")
        for kind, (size, epoch) in found.items()
    ]
    headings = ("Hidden units", "Parameters", "Training loss", "Validation loss", "Validation accuracy")
    caption = f"784-128-10 on Fashion-MNIST, {SHORT.epochs} epochs of Adam, the same for all."
    return Grid(headings, rows, caption)


def _plot() -> Plot:
    x = torch.linspace(-4, 4, 321)

    def paint(axes: list[Axes]) -> None:
        for place, kind in zip(axes, UNITS, strict=False):
            place.plot(x.tolist(), function(kind)(x).tolist(), color=COLOURS[0], label="function")
            place.plot(x.tolist(), slope(kind, x).tolist(), "--", color=COLOURS[1], label="derivative")
            place.set(title=kind, ylim=(-1.3, 2.3), xlabel="x", xticks=(-4, -2, 0, 2, 4))
        axes[-1].set_axis_off()
        axes[-1].legend(*axes[0].get_legend_handles_labels(), loc="center")

    alt = "Seven activation functions and their derivatives"
    return draw(paint, alt, "Each function and its derivative.", columns=4, rows=2, height=4.6)
