"""Architecture: the validation error by depth and width, and how depth can save units."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch
from matplotlib.axes import Axes
from torch import Tensor

from training.figure import COLORS
from training.lecture.agreement import Row
from training.lecture.plots import draw
from training.lecture.section import Lesson, Plot, Section
from training.networks.mlp import MLP
from training.pipeline import split
from training.recipe import Recipe
from training.recipes import LECTURE_MLP_FAST
from training.train.loop import train_network

DEPTHS, WIDTHS = (1, 2, 4), (8, 32, 128, 512)  # of the hidden layers
SHORT_TRAINING = replace(LECTURE_MLP_FAST, name="short", muon=0.0, batch=512, epochs=4, train_images=20_000)
SAWTOOTH_LAYERS = 4

Errors = dict[tuple[int, int], float]  # by depth and width


def validation_errors(lesson: Lesson, depths: Sequence[int], widths: Sequence[int], recipe: Recipe) -> Errors:
    """Return the share of validation images that each architecture gets wrong."""
    train, validation = split(recipe, lesson.fashion_mnist)

    def error(depth: int, width: int) -> float:
        network = partial(MLP, widths=(width,) * depth)
        return 1 - train_network(replace(recipe, network=network), train, validation).epochs[-1].val_accuracy

    return {(depth, width): error(depth, width) for depth in depths for width in widths}


def sawtooth(x: Tensor, layers: int = SAWTOOTH_LAYERS) -> Tensor:
    """Return the output for x in [0, 1] of layers of two ReLU units each, all with the same weights.

    Each layer folds the line in two, 0 to 1 and back, which doubles the number of teeth (Telgarsky 2016).
    """
    for _ in range(layers):
        x = 2 * x.clamp_min(0) - 4 * (x - 0.5).clamp_min(0)
    return x


def count_pieces(y: Tensor) -> int:
    """Return the number of straight pieces of a curve that is sampled evenly."""
    bends = y.diff().diff().abs() > 1e-9
    return int(bends.sum()) + 1


def section(lesson: Lesson) -> Section:
    """Return the section."""
    errors = validation_errors(lesson, DEPTHS, WIDTHS, SHORT_TRAINING)
    x = torch.linspace(0, 1, 2**10 + 1, dtype=torch.float64)
    pieces = count_pieces(sawtooth(x))
    units, needed = 2 * SAWTOOTH_LAYERS, pieces - 1
    return Section(
        title="Depth and width",
        blocks=(
            "How many layers should a network have, and how wide should they be? No formula says. The answer "
            "takes experiments, guided by the error on validation images. The test images must not guide them: after a "
            "choice by their error, nothing is left to measure how well the choice does on new images.",
            _errors_plot(errors),
            "Width pays at first, then less and less. Depth alone gains little on images this simple, and the "
            "narrowest networks lose by it in so short a training. But depth can save units. Each layer of the next "
            f"figure folds the line in two, so {SAWTOOTH_LAYERS} layers of two units make {pieces} straight "
            f"pieces with {units} units. A single hidden layer bends at most once per unit, so it needs {needed}. Each "
            "further layer of two doubles the pieces.",
            _sawtooth_plot(x),
        ),
        rows=(
            _experiment_row(errors, len(split(SHORT_TRAINING, lesson.fashion_mnist)[1])),
            _depth_row(units, needed),
        ),
        code=("architecture.validation_errors", "architecture.sawtooth", "architecture.count_pieces"),
    )


def _experiment_row(errors: Mapping[tuple[int, int], float], validation_images: int) -> Row:
    best, worst = (choose(errors, key=lambda size: errors[size]) for choose in (min, max))
    margin = 2 * (2 * errors[best] * (1 - errors[best]) / validation_images) ** 0.5
    return Row(
        "Architecture: how it is found",
        "by experimentation, guided by the validation set error",
        f"the best of {len(errors)}, with {_in_words(best)}, has {errors[best]:.1%}; "
        f"the worst, with {_in_words(worst)}, has {errors[worst]:.1%}",
        errors[worst] - errors[best] > margin,
        f"best and worst differ by more than two standard errors, {margin:.1%}",
    )


def _in_words(size: tuple[int, int]) -> str:
    depth, width = size
    return f"{depth} layer{'s' if depth > 1 else ''} of {width} units"


def _depth_row(units: int, needed: int) -> Row:
    return Row(
        "Architecture: depth",
        "deeper models can reduce the number of units required",
        f"{units} units in {SAWTOOTH_LAYERS} layers, where one layer needs {needed}",
        units < needed,
        "fewer",
    )


def _errors_plot(errors: Errors) -> Plot:
    depths = dict.fromkeys(depth for depth, _ in errors)

    def paint(axes: list[Axes]) -> None:
        for depth, color in zip(depths, COLORS, strict=False):
            points = [(width, 100 * error) for (other, width), error in errors.items() if other == depth]
            label = f"{depth} hidden layer{'s' if depth > 1 else ''}"
            axes[0].plot(*zip(*points, strict=True), "o-", color=color, label=label)
        axes[0].set(xlabel="units in each hidden layer", ylabel="validation error, %", xscale="log")
        widths = list(dict.fromkeys(width for _, width in errors))
        axes[0].set_xticks(widths, [str(width) for width in widths], minor=False)
        axes[0].minorticks_off()
        axes[0].legend()

    caption = (
        "The share of validation images that MLPs on Fashion-MNIST get wrong after "
        f"{SHORT_TRAINING.epochs} epochs of up to {SHORT_TRAINING.train_images:,} images each."
    )
    return draw(paint, "Validation error by width and depth", caption)


def _sawtooth_plot(x: Tensor) -> Plot:
    def paint(axes: list[Axes]) -> None:
        for layers, place in enumerate(axes, start=1):
            y = sawtooth(x, layers)
            place.plot(x.tolist(), y.tolist(), color=COLORS[0])
            title = f"{layers} layer{'s' if layers > 1 else ''}: {count_pieces(y)} pieces"
            place.set(title=title, xlabel="x", ylabel="output" if layers == 1 else "")

    caption = "Two ReLU units per layer, with the same weights in every layer."
    alt = "A line folded by one to four layers"
    return draw(paint, alt, caption, columns=SAWTOOTH_LAYERS, height=2.4)
