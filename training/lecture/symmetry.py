"""Symmetry: units that begin alike stay alike, and a layer of them is worth one unit."""

import torch
from torch import Tensor

from training.lecture.agreement import Row
from training.lecture.descent import RATE, STEPS, Descent, Networks, descend
from training.lecture.section import Grid, Lesson, Section

STARTS, UNITS = 100, 8


def alike(networks: Networks) -> Networks:
    """Return networks whose units all have the weights of the first."""
    w, c, v = (weights[..., :1].expand_as(weights).clone() for weights in (networks.w, networks.c, networks.v))
    return Networks(w, c, v, networks.b)


def difference(networks: Networks) -> float:
    """Return the largest difference between a unit's weights and those of the first in its layer."""

    def furthest(weights: Tensor) -> float:
        return float((weights - weights[..., :1]).abs().max())

    return max(furthest(weights) for weights in (networks.w, networks.c, networks.v))


def section(_: Lesson) -> Section:
    """Return the section."""
    drawn = Networks.drawn(STARTS, UNITS)
    starts = {"each at random": drawn, "all units alike": alike(drawn)}
    ends = {name: descend(start, RATE, STEPS) for name, start in starts.items()}
    same = ends["all units alike"]
    moved = float((same.ended.w - alike(drawn).w).abs().max())
    return Section(
        title="Symmetry",
        blocks=(
            "Two hidden units with the same weights get the same gradient, take the same step, and are the same "
            f"again: for ever. A layer of {UNITS} is then worth a single unit, which is not enough for XOR. This is "
            "why weights are drawn at random; any other beginning would have to break the symmetry in another way.",
            Grid(
                ("Beginning", "Largest difference of units at the end", "Share that finds XOR", "Least loss"),
                [_row(name, end) for name, end in ends.items()],
                f"XOR with {UNITS} hidden units, {STARTS} starts each.",
            ),
        ),
        rows=(
            Row(
                "Symmetric initialisation",
                "random initialization is key to ensure that symmetry is broken",
                f"units that begin alike move by up to {moved:.2g} and end alike but for {difference(same.ended):g}; "
                f"{same.share:.0%} find XOR, {ends['each at random'].share:.0%} from random starts",
                difference(same.ended) == 0 < moved and same.share == 0 < ends["each at random"].share,
                "exactly alike, none finds XOR, and some random starts do",
            ),
        ),
        names=("symmetry.alike", "symmetry.difference"),
    )


def _row(name: str, end: Descent) -> tuple[str, ...]:
    least = float(torch.nan_to_num(end.losses[-1], nan=torch.inf).min())
    return name, f"{difference(end.ended):.3g}", f"{end.share:.0%}", f"{least:.4f}"
