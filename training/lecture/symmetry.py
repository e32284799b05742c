"""Symmetry: hidden units that start equal stay equal, and a layer of them is worth one unit."""

import torch
from torch import Tensor

from training.lecture.agreement import Row
from training.lecture.descent import GRADIENT_STEPS, STEP_SIZE, Descent, Networks, descend
from training.lecture.section import Lesson, Section, Table

RANDOM_STARTS, HIDDEN_UNITS = 100, 8


def with_equal_units(networks: Networks) -> Networks:
    """Return networks in which every unit has the weights of the first."""
    w, c, v = (weights[..., :1].expand_as(weights).clone() for weights in (networks.w, networks.c, networks.v))
    return Networks(w, c, v, networks.b)


def unit_difference(networks: Networks) -> float:
    """Return the largest difference between a unit's weights and those of the first unit in its layer."""

    def largest(weights: Tensor) -> float:
        return float((weights - weights[..., :1]).abs().max())

    return max(largest(weights) for weights in (networks.w, networks.c, networks.v))


def section(_: Lesson) -> Section:
    """Return the section."""
    start = Networks.random(RANDOM_STARTS, HIDDEN_UNITS)
    random, equal = (descend(networks, STEP_SIZE, GRADIENT_STEPS) for networks in (start, with_equal_units(start)))
    moved = float((equal.networks.w - with_equal_units(start).w).abs().max())
    difference = unit_difference(equal.networks)
    return Section(
        title="Symmetry",
        blocks=(
            "Two hidden units with the same weights get the same gradient, take the same step and are the same again, "
            f"forever. A layer of {HIDDEN_UNITS} such units is worth a single unit, which is not enough for XOR. "
            "Random initial weights break this symmetry; any other start would have to break it in another way. The "
            "table compares both kinds of start after gradient descent: by the largest difference between the weights "
            "of two units, by the share of starts that find XOR, and by the lowest loss of all starts.",
            Table(
                ("Initial weights", "Difference between units", "Starts that find XOR", "Lowest loss"),
                [_table_row("random", random), _table_row("the same for all units", equal)],
                f"XOR with {HIDDEN_UNITS} hidden units, {RANDOM_STARTS} starts each, {GRADIENT_STEPS:,} steps.",
            ),
        ),
        rows=(
            Row(
                "Symmetric initialization",
                "random initialization is key to ensure that symmetry is broken",
                f"units that start equal move by up to {moved:.2g} and end with a difference of {difference:g}; "
                f"{equal.solved_share:.0%} find XOR, {random.solved_share:.0%} of the random starts do",
                difference == 0 < moved and equal.solved_share == 0 < random.solved_share,
                "equal units stay exactly equal and none finds XOR; some random starts do",
            ),
        ),
        code=("symmetry.with_equal_units", "symmetry.unit_difference"),
    )


def _table_row(name: str, end: Descent) -> tuple[str, ...]:
    lowest = float(torch.nan_to_num(end.losses[-1], nan=torch.inf).min())
    return name, f"{unit_difference(end.networks):.3g}", f"{end.solved_share:.0%}", f"{lowest:.4f}"
