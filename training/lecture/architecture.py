"""Architecture: depth and width against validation error, and what depth can save."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import torch
from matplotlib.axes import Axes
from torch import Tensor

from training.lecture.agreement import Row
from training.lecture.plots import COLOURS, draw
from training.lecture.section import Lesson, Plot, Section
from training.networks import MLP
from training.recipes import LECTURE_MLP_FAST, Recipe
from training.train import fit
from training.trained import split

DEPTHS, WIDTHS = (1, 2, 4), (8, 32, 128, 512)
SHORT = replace(LECTURE_MLP_FAST, name="short", muon=0.0, batch=512, epochs=4, images=20_000)
FOLDS = 4  # layers of the sawtooth

Errors = dict[tuple[int, int], float]  # by depth and width


def validation_errors(lesson: Lesson, depths: Sequence[int], widths: Sequence[int], recipe: Recipe) -> Errors:
    """Return the share of held-out images that each architecture gets wrong."""
    seen, held = split(recipe, lesson.garments)
    sizes = {(depth, width): (width,) * depth for depth in depths for width in widths}
    return {
        size: 1 - fit(replace(recipe, network=partial(MLP, widths=layers)), seen, held).epochs[-1].held_accuracy
        for size, layers in sizes.items()
    }


def sawtooth(x: Tensor, layers: int = FOLDS) -> Tensor:
    """Return what that many layers of two ReLU units each make of x in [0, 1], with the same weights in every layer.

    Each folds the line in two, 0 to 1 and back, so their teeth double from layer to layer (Telgarsky 2016).
    """
    for _ in range(layers):
        x = 2 * x.clamp_min(0) - 4 * (x - 0.5).clamp_min(0)
    return x


def pieces(y: Tensor) -> int:
    """Return of how many straight pieces a curve, sampled evenly, is made."""
    bends = y.diff().diff().abs() > 1e-9
    return int(bends.sum()) + 1


def section(lesson: Lesson) -> Section:
    """Return the section."""
    errors = validation_errors(lesson, DEPTHS, WIDTHS, SHORT)
    x = torch.linspace(0, 1, 2**10 + 1, dtype=torch.float64)
    folded = sawtooth(x)
    units, needed = 2 * FOLDS, pieces(folded) - 1
    return Section(
        title="Depth and width",
        blocks=(
            "How many layers, and how wide? No formula tells; one tries, and watches the error on validation images, "
            "which are not trained on. The test images are no use for this: who chooses by them has nothing left to "
            "say how well the choice will do.",
            _errors_plot(errors),
            "Width pays at first and then less and less. Depth for its own sake does little on images this simple. But "
            "depth can save units: each layer below folds the line in two, so two units a layer make "
            f"{pieces(folded)} straight pieces with {units} units. A single hidden layer bends once a unit at "
            f"most, so it needs {needed}; each further layer doubles that.",
            _sawtooth_plot(x),
        ),
        rows=(_by_experiment(errors, len(split(SHORT, lesson.garments)[1])), _saved(units, needed)),
        names=("architecture.validation_errors", "architecture.sawtooth", "architecture.pieces"),
    )


def _by_experiment(errors: Mapping[tuple[int, int], float], held: int) -> Row:
    best, worst = (choose(errors, key=lambda size: errors[size]) for choose in (min, max))
    doubt = 2 * (2 * errors[best] * (1 - errors[best]) / held) ** 0.5
    return Row(
        "Architecture: how it is found",
        "by experimentation, guided by the validation set error",
        f"of {len(errors)}, {best[0]} × {best[1]} units: {errors[best]:.1%}; "
        f"the worst, {worst[0]} × {worst[1]}: {errors[worst]:.1%}",
        errors[worst] - errors[best] > doubt,
        f"best and worst differ by more than two standard errors, {doubt:.1%}",
    )


def _saved(units: int, needed: int) -> Row:
    return Row(
        "Architecture: depth",
        "deeper models can reduce the number of units required",
        f"{units} units in {FOLDS} layers, where one layer needs {needed}",
        units < needed,
        "fewer",
    )


def _errors_plot(errors: Errors) -> Plot:
    depths = dict.fromkeys(depth for depth, _ in errors)

    def paint(axes: list[Axes]) -> None:
        for depth, colour in zip(depths, COLOURS, strict=False):
            points = [(width, 100 * error) for (other, width), error in errors.items() if other == depth]
            label = f"{depth} hidden layer{'s' if depth > 1 else ''}"
            axes[0].plot(*zip(*points, strict=True), "o-", color=colour, label=label)
        axes[0].set(xlabel="units in each hidden layer", ylabel="validation error, %", xscale="log")
        widths = list(dict.fromkeys(width for _, width in errors))
        axes[0].set_xticks(widths, [str(width) for width in widths], minor=False)
        axes[0].minorticks_off()
        axes[0].legend()

    caption = f"MLPs on Fashion-MNIST, {SHORT.epochs} epochs of up to {SHORT.images:,} images each."
    return draw(paint, "Validation error by width and depth", caption)


def _sawtooth_plot(x: Tensor) -> Plot:
    def paint(axes: list[Axes]) -> None:
        for layers, place in enumerate(axes, start=1):
            place.plot(x.tolist(), sawtooth(x, layers).tolist(), color=COLOURS[0])
            title = f"{layers} layer{'s' if layers > 1 else ''}: {pieces(sawtooth(x, layers))} pieces"
            place.set(title=title, xlabel="x", ylabel="output" if layers == 1 else "")

    caption = "Two ReLU units a layer, with the same weights in each layer."
    return draw(paint, "A line folded by one to four layers", caption, columns=FOLDS, height=2.4)
