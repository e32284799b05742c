"""Vanishing and exploding gradients: their size at each layer, before the first step of training."""

import math
from collections.abc import Callable
from functools import partial

import torch
from matplotlib.axes import Axes
from torch import Tensor, nn
from torch.nn import functional

from training.figure import COLORS
from training.lecture.agreement import Row
from training.lecture.plots import draw
from training.lecture.section import Lesson, Plot, Section, Table
from training.networks.activations import ACTIVATIONS

DEPTH, WIDTH = 20, 100  # of each network
BATCH_SIZE = 200
COMPARED_ACTIVATIONS = ("sigmoid", "tanh", "relu")
INITIALIZATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "normal, deviation 0.01": partial(nn.init.normal_, std=0.01),
    "normal, deviation 1": nn.init.normal_,
    "Glorot": nn.init.xavier_normal_,
    "He": partial(nn.init.kaiming_normal_, nonlinearity="relu"),
}

GradientNorms = dict[tuple[str, str], list[float]]  # by activation and initialization, from the first layer on


def gradient_norms(activation: str, initialize: Callable[[Tensor], Tensor]) -> list[float]:
    """Return the norm of the loss's gradient at each hidden layer's input, for random inputs and classes."""
    torch.manual_seed(0)
    values, layer_inputs = torch.randn(BATCH_SIZE, WIDTH, dtype=torch.float64), []
    for _ in range(DEPTH):
        weights = initialize(torch.empty(WIDTH, WIDTH, dtype=torch.float64))
        layer_inputs.append(values.requires_grad_())
        values = ACTIVATIONS[activation]()(layer_inputs[-1] @ weights.T)
    output = nn.init.xavier_normal_(torch.empty(10, WIDTH, dtype=torch.float64))
    loss = functional.cross_entropy(values @ output.T, torch.arange(BATCH_SIZE) % 10)
    return [float(gradient.norm()) for gradient in torch.autograd.grad(loss, layer_inputs)]


def first_to_last(norms: list[float]) -> float:
    """Return the gradient norm of the first layer divided by that of the last."""
    return norms[0] / norms[-1]


def section(_: Lesson) -> Section:
    """Return the section."""
    norms: GradientNorms = {
        (activation, name): gradient_norms(activation, initialize)
        for activation in COMPARED_ACTIVATIONS
        for name, initialize in INITIALIZATIONS.items()
    }
    return Section(
        title="Gradients in deep networks",
        blocks=(
            f"The gradient reaches the first of {DEPTH} layers through all the layers after it. Each multiplies it by "
            "its weights and by the derivative of its activation function. If the product is less than one, the "
            "gradient vanishes layer by layer and the first layers learn nothing. If it is more than one, the gradient "
            "explodes.",
            "The figure shows networks before their first step of training. Their weights are drawn from a normal "
            "distribution in four ways: with standard deviation 0.01, 1, `√(2/(inputs + outputs))` (Glorot) or "
            "`√(2/inputs)` (He). A level line is best.",
            _plot(norms),
            "The derivative of the sigmoid is a quarter at most, so its gradients vanish unless the weights are large. "
            "The derivative of ReLU is 1 where the unit is active, so weights of the right size lose nothing. He's "
            "weights are larger than Glorot's, since half the units are inactive. Glorot's were made for tanh, whose "
            "derivative is 1 at the origin and less elsewhere; there either of the two will do. The table divides the "
            "gradient at the first layer by that at the last; 1 is best.",
            _table(norms),
        ),
        rows=_rows(norms),
        code=("gradients.gradient_norms", "gradients.INITIALIZATIONS"),
    )


def _rows(norms: GradientNorms) -> tuple[Row, ...]:
    ratios = {names: first_to_last(found) for names, found in norms.items()}
    small, large = ratios["tanh", "normal, deviation 0.01"], ratios["relu", "normal, deviation 1"]
    sigmoid, relu = ratios["sigmoid", "Glorot"], ratios["relu", "He"]
    return (
        Row(
            "Gradients in deep networks",
            "vanishing and exploding gradients are common",
            f"first layer divided by last: {small:.1e} and {large:.1e} with careless initializations",
            small < 1e-3 and large > 1e3,
            "less than 0.001 and more than 1,000",
        ),
        Row(
            "Gradients and initialization",
            "heuristics are needed for gradients neither too large nor too small",
            f"{ratios['tanh', 'Glorot']:.2g} for tanh with Glorot's, {relu:.2g} for ReLU with He's",
            0.1 < ratios["tanh", "Glorot"] < 10 and 0.1 < relu < 10,
            "between 0.1 and 10",
        ),
        Row(
            "Gradients and ReLU",
            "ReLU mitigates the vanishing gradient problem",
            f"{relu:.2g} with He's; the sigmoid has {sigmoid:.1e} with Glorot's",
            relu > 1e3 * sigmoid,
            "more than 1,000 times the sigmoid's",
        ),
    )


def _table(norms: GradientNorms) -> Table:
    rows = [
        (activation, *(f"{first_to_last(norms[activation, name]):.1e}" for name in INITIALIZATIONS))
        for activation in COMPARED_ACTIVATIONS
    ]
    caption = "The norm of the gradient at the first layer, divided by that at the last, by initialization."
    return Table(("Activation", *INITIALIZATIONS), rows, caption)


def _plot(norms: GradientNorms) -> Plot:
    def paint(axes: list[Axes]) -> None:
        for place, activation in zip(axes, COMPARED_ACTIVATIONS, strict=True):
            for name, color in zip(INITIALIZATIONS, COLORS, strict=False):
                found = [norm if norm > 0 else math.nan for norm in norms[activation, name]]
                place.plot(range(1, len(found) + 1), found, ".-", color=color, label=name)
            place.set(title=activation, xlabel="layer", yscale="log", ylim=(1e-36, 1e22))
        axes[0].set_ylabel("norm of the gradient")
        axes[1].legend(loc="lower right", fontsize=8)

    alt = "The norm of the gradient by layer, for three activation functions and four initializations"
    caption = "The gradient with respect to the input of each layer, from the first layer to the last."
    return draw(paint, alt, caption, columns=len(COMPARED_ACTIVATIONS))
