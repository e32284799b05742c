"""Vanishing and exploding gradients: how large they are, layer by layer, before the first step of training."""

import math
from collections.abc import Callable
from functools import partial

import torch
from matplotlib.axes import Axes
from torch import Tensor, nn
from torch.nn import functional

from training.lecture.agreement import Row
from training.lecture.plots import COLOURS, draw
from training.lecture.section import Grid, Lesson, Plot, Section
from training.networks.activations import ACTIVATIONS

DEPTH, WIDTH, INPUTS = 20, 100, 200
KINDS = ("sigmoid", "tanh", "relu")
INITIALISATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "normal, deviation 0.01": partial(nn.init.normal_, std=0.01),
    "normal, deviation 1": nn.init.normal_,
    "Glorot": nn.init.xavier_normal_,
    "He": partial(nn.init.kaiming_normal_, nonlinearity="relu"),
}

Gradients = dict[tuple[str, str], list[float]]  # by activation and initialisation, from the first layer on


def gradients(kind: str, initialise: Callable[[Tensor], Tensor], depth: int = DEPTH) -> list[float]:
    """Return the norm of the loss's gradient in what each hidden layer is given, for random inputs and classes."""
    torch.manual_seed(0)
    values, given = torch.randn(INPUTS, WIDTH, dtype=torch.float64), []
    for _ in range(depth):
        weights = initialise(torch.empty(WIDTH, WIDTH, dtype=torch.float64))
        given.append(values.requires_grad_())
        values = ACTIVATIONS[kind]()(given[-1] @ weights.T)
    output = nn.init.xavier_normal_(torch.empty(10, WIDTH, dtype=torch.float64))
    loss = functional.cross_entropy(values @ output.T, torch.arange(INPUTS) % 10)
    return [float(gradient.norm()) for gradient in torch.autograd.grad(loss, given)]


def section(_: Lesson) -> Section:
    """Return the section."""
    found: Gradients = {
        (kind, name): gradients(kind, initialise) for kind in KINDS for name, initialise in INITIALISATIONS.items()
    }
    return Section(
        title="Gradients in deep networks",
        blocks=(
            f"The gradient reaches the first of {DEPTH} layers through all those above it, and each multiplies it by "
            "its weights and by the slope of its activation. Where the product is less than one it vanishes, layer by "
            "layer, and the first layers learn nothing; where it is more than one it explodes. Below, networks before "
            "their first step: a level line is what one wants.",
            _plot(found),
            "The sigmoid's slope is a quarter at most, so its gradients vanish however the weights are drawn, unless "
            "they are large. ReLU's slope is one where it is awake, so with weights of the right size nothing is lost: "
            "deviation `√(2/inputs)` (He), since half the units sleep; `√(2/(inputs + outputs))` (Glorot) suits tanh.",
            _table(found),
        ),
        rows=_rows(found),
        names=("gradients.gradients", "gradients.INITIALISATIONS"),
    )


def ratio(norms: list[float]) -> float:
    """Return the gradient of the first layer for each unit of that of the last."""
    return norms[0] / norms[-1]


def _rows(found: Gradients) -> tuple[Row, ...]:
    ratios = {names: ratio(norms) for names, norms in found.items()}
    small, large = ratios["tanh", "normal, deviation 0.01"], ratios["relu", "normal, deviation 1"]
    sigmoid, relu = ratios["sigmoid", "Glorot"], ratios["relu", "He"]
    return (
        Row(
            "Gradients in deep networks",
            "vanishing and exploding gradients are common",
            f"first layer to last: {small:.1e} and {large:.1e} with careless initialisations",
            small < 1e-3 and large > 1e3,
            "less than 0.001 and more than 1,000",
        ),
        Row(
            "Gradients and initialisation",
            "heuristics are needed for gradients neither too large nor too small",
            f"{ratios['tanh', 'Glorot']:.2g} for tanh with Glorot's, {relu:.2g} for ReLU with He's",
            0.1 < ratios["tanh", "Glorot"] < 10 and 0.1 < relu < 10,
            "between 0.1 and 10",
        ),
        Row(
            "Gradients and ReLU",
            "ReLU mitigates the vanishing gradient problem",
            f"{relu:.2g}, where the sigmoid has {sigmoid:.1e}",
            relu > 1e3 * sigmoid,
            "more than 1,000 times the sigmoid's",
        ),
    )


def _table(found: Gradients) -> Grid:
    rows = [(kind, *(f"{ratio(found[kind, name]):.1e}" for name in INITIALISATIONS)) for kind in KINDS]
    return Grid(("Activation", *INITIALISATIONS), rows, "The gradient of the first layer for each unit of the last's.")


def _plot(found: Gradients) -> Plot:
    def paint(axes: list[Axes]) -> None:
        for place, kind in zip(axes, KINDS, strict=True):
            for name, colour in zip(INITIALISATIONS, COLOURS, strict=False):
                norms = [norm if norm > 0 else math.nan for norm in found[kind, name]]
                place.plot(range(1, len(norms) + 1), norms, ".-", color=colour, label=name)
            place.set(title=kind, xlabel="layer", yscale="log", ylim=(1e-36, 1e22))
        axes[0].set_ylabel("norm of the gradient")
        axes[1].legend(loc="lower right", fontsize=8)

    alt = "The norm of the gradient by layer, for three activations and four initialisations"
    return draw(
        paint, alt, "The gradient in what each layer is given, from the first layer to the last.", columns=len(KINDS)
    )
