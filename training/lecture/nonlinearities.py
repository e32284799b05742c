"""Activation functions: their shapes, their derivatives, and the same network trained with each."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import torch
from matplotlib.axes import Axes
from torch import Tensor

from training.figure import COLORS
from training.lecture.agreement import ROUNDING_TOLERANCE, Row, exactly
from training.lecture.plots import draw
from training.lecture.section import Lesson, Plot, Section, Table
from training.networks.activations import ACTIVATIONS, RADIAL, UNITS, RadialBasis
from training.networks.base import count_parameters
from training.networks.mlp import MLP
from training.pipeline import split
from training.recipe import Recipe
from training.recipes import LECTURE_MLP_FAST
from training.train.loop import train_network
from training.train.trainer import Epoch

# Adam for all, as in the lecture: Muon is made for weights, and radial basis units have centers.
SHORT_TRAINING = replace(LECTURE_MLP_FAST, name="short", muon=0.0, batch=512, epochs=3)
COMPARED_RANGE = 12  # of |x|: a sigmoid much further out rounds to 1
COMPARED_POINTS = torch.linspace(-COMPARED_RANGE, COMPARED_RANGE, 2_401, dtype=torch.float64)


def activation(kind: str) -> Callable[[Tensor], Tensor]:
    """Return the function that such units apply to one number; a radial basis unit has its center at 0."""
    if kind == RADIAL:
        unit = RadialBasis(1, 1).requires_grad_(False)
        unit.centres.zero_()
        return lambda x: unit.to(x.dtype)(x.reshape(-1, 1)).reshape(x.shape)
    return ACTIVATIONS[kind]()


def derivative(kind: str, x: Tensor) -> Tensor:
    """Return the derivative at each x."""
    x = x.clone().requires_grad_()
    (slopes,) = torch.autograd.grad(activation(kind)(x).sum(), x)
    return slopes


def train_each(lesson: Lesson, recipe: Recipe) -> dict[str, tuple[int, Epoch]]:
    """Train the lecture's MLP with each kind of hidden units; return its parameter count and its last epoch by kind."""
    train, validation = split(recipe, lesson.fashion_mnist)
    networks = {kind: partial(MLP, activation=kind) for kind in UNITS}
    return {
        kind: (
            count_parameters(network()),
            train_network(replace(recipe, network=network), train, validation).epochs[-1],
        )
        for kind, network in networks.items()
    }


def section(lesson: Lesson) -> Section:
    """Return the section."""
    results = train_each(lesson, SHORT_TRAINING)
    return Section(
        title="Activation functions",
        blocks=(
            "A hidden unit applies an activation function to its weighted sum. ReLU is a hinge: its derivative is 1 "
            "where the unit is active, 0 where it is not, and by convention 0 at the hinge itself. Sigmoid and tanh "
            "squash: they are flat far from zero, so little gradient passes there. The sigmoid passes a quarter "
            "of it at most. Tanh is the sigmoid, stretched to be symmetric about the origin: "
            "`tanh(x) = 2 sigmoid(2x) - 1`.",
            _plot(),
            "Softplus is ReLU with a rounded corner, hard tanh is tanh made of three straight pieces, and cos repeats "
            "itself. A radial basis unit has no weighted sum: its answer `exp(-|x - c|²/σ²)` is nearly zero unless the "
            "input x is near its center c.",
            "How well do they learn? The lecture's multilayer perceptron (MLP) is trained with each kind of hidden "
            "units. An epoch is one pass through the training images, the loss is the mean cross-entropy, and the "
            "accuracy is the share of images that the network classifies correctly. Validation images are training "
            "images that are set aside: the network does not learn from them.",
            _table(results),
            "All kinds with a weighted sum end within a few points of one another. So ReLU, the cheapest, is the usual "
            "choice. Radial basis units train slowly: in 784 dimensions hardly any point is near any other. (The "
            "lecture also cites an error below 1% for cos on MNIST. MNIST is another data set, so this is not checked "
            "here.)",
        ),
        rows=(*_formula_rows(), *_shape_rows(), *_training_rows(results)),
        code=(
            "nonlinearities.derivative",
            "nonlinearities.train_each",
            "training.networks.activations.ACTIVATIONS",
        ),
    )


def _formula_rows() -> Iterator[Row]:
    """Yield the rows that compare each function with the lecture's formula."""
    x = COMPARED_POINTS
    formulas = {
        "relu": ("max{x, 0}", x.clamp_min(0)),
        "sigmoid": ("1 / (1 + exp(-x))", 1 / (1 + torch.exp(-x))),
        "tanh": ("(1 - exp(-2x)) / (1 + exp(-2x))", (1 - torch.exp(-2 * x)) / (1 + torch.exp(-2 * x))),
        "cos": ("cos(x)", torch.cos(x)),
        "softplus": ("log(1 + exp(x))", torch.log(1 + torch.exp(x))),
        "hard tanh": ("max(-1, min(1, x))", x.clamp_max(1).clamp_min(-1)),
        RADIAL: ("exp(-|x - c|²/σ²), with c = 0 and σ = 1", torch.exp(-x.square())),
    }
    for kind, (formula, expected) in formulas.items():
        yield _equal_row(f"Formula: {kind}", formula, "largest difference", activation(kind)(x) - expected)


def _shape_rows() -> tuple[Row, ...]:
    """Return the rows that compare what the lecture says of a function's shape."""
    sigmoid, tanh = activation("sigmoid")(COMPARED_POINTS), activation("tanh")(COMPARED_POINTS)
    inside = bool(((sigmoid > 0) & (sigmoid < 1)).all())
    place, criterion = "inside" if inside else "outside", f"inside wherever |x| ≤ {COMPARED_RANGE}"
    difference = "largest difference between tanh(x) and -tanh(-x)"
    return (
        exactly("ReLU: its derivative at 0", 0.0, float(derivative("relu", torch.zeros(())))),
        Row("Sigmoid: its range", "(0, 1)", place, inside, criterion),
        _equal_row("Tanh: about the origin", "point symmetry", difference, tanh + tanh.flip(0)),
    )


def _equal_row(item: str, lecture: str, name: str, differences: Tensor) -> Row:
    """Return a row that agrees if the differences are those of rounding; name: of the largest one."""
    largest = float(differences.abs().max())
    criterion = f"at most {ROUNDING_TOLERANCE:g}, for rounding, where |x| ≤ {COMPARED_RANGE}"
    return Row(item, lecture, f"{name} {largest:.2g}", largest <= ROUNDING_TOLERANCE, criterion)


def _training_rows(results: dict[str, tuple[int, Epoch]]) -> tuple[Row, ...]:
    errors = {kind: 1 - epoch.val_accuracy for kind, (_, epoch) in results.items()}
    best = min(errors, key=lambda kind: errors[kind])
    return (
        Row(
            "ReLU: its performance",
            "good on a variety of tasks",
            f"validation error {errors['relu']:.1%}; the best, {best}, has {errors[best]:.1%}",
            errors["relu"] < errors[best] + 0.02,
            "less than 2 percentage points behind the best kind",
        ),
    )


def _table(results: dict[str, tuple[int, Epoch]]) -> Table:
    rows = [
        (kind, f"{size:,}", f"{epoch.loss:.4f}", f"{epoch.val_loss:.4f}", f"{epoch.val_accuracy:.4f}")
        for kind, (size, epoch) in results.items()
    ]
    headings = ("Hidden units", "Parameters", "Training loss", "Validation loss", "Validation accuracy")
    caption = (
        "Networks with 784 inputs, 128 hidden units and 10 outputs on Fashion-MNIST, each after "
        f"{SHORT_TRAINING.epochs} epochs with the optimizer Adam."
    )
    return Table(headings, rows, caption)


def _plot() -> Plot:
    x = torch.linspace(-4, 4, 321)

    def paint(axes: list[Axes]) -> None:
        for place, kind in zip(axes, UNITS, strict=False):
            place.plot(x.tolist(), activation(kind)(x).tolist(), color=COLORS[0], label="function")
            place.plot(x.tolist(), derivative(kind, x).tolist(), "--", color=COLORS[1], label="derivative")
            place.set(title=kind, ylim=(-1.3, 2.3), xlabel="x", xticks=(-4, -2, 0, 2, 4))
        axes[-1].set_axis_off()
        axes[-1].legend(*axes[0].get_legend_handles_labels(), loc="center")

    alt = "Seven activation functions and their derivatives"
    return draw(paint, alt, "Each activation function and its derivative.", columns=4, rows=2, height=4.6)
