"""The table of agreement: what the lecture says, what comes out here, and when the two agree."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

Value = int | float | str | tuple["Value", ...]


@dataclass(frozen=True)
class Row:
    """One claim of the lecture beside what was found; criterion: what counts as agreement."""

    item: str
    lecture: Value
    here: Value
    agrees: bool
    criterion: str


def exactly(item: str, lecture: Value, here: Value) -> Row:
    """Return a row that agrees when the two are equal."""
    return Row(item, lecture, here, lecture == here, "equal")


def nearly(item: str, lecture: Value, here: Value, within: float) -> Row:
    """Return a row that agrees when each number is as near to the lecture's as that."""
    pairs = zip(_numbers(lecture), _numbers(here), strict=True)
    return Row(item, lecture, here, all(abs(one - other) <= within for one, other in pairs), f"within {within:g}")


def at_least(item: str, lecture: float, here: float, margin: float) -> Row:
    """Return a row that agrees when a figure is no lower than the lecture's less a margin."""
    return Row(item, lecture, here, here >= lecture - margin, f"at least {lecture - margin:.4f}, {margin:.4f} less")


def at_most(item: str, lecture: float, here: float, margin: float) -> Row:
    """Return a row that agrees when a figure is no higher than the lecture's and a margin."""
    return Row(item, lecture, here, here <= lecture + margin, f"at most {lecture + margin:.4f}, {margin:.4f} more")


def values(tensor: Tensor) -> Value:
    """Return what a tensor holds, as a value of a row."""
    return tuple(values(part) for part in tensor) if tensor.ndim else tensor.item()


def shown(value: Value) -> str:
    """Return a value as a person reads it."""
    if isinstance(value, tuple):
        return f"({', '.join(str(part) if isinstance(part, int) else shown(part) for part in value)})"
    if isinstance(value, float):
        return f"{value + 0.0:.6g}"  # a -0.0 is shown as 0
    return f"{value:,}" if isinstance(value, int) else value


def _numbers(value: Value) -> Iterator[float]:
    if isinstance(value, tuple):
        for part in value:
            yield from _numbers(part)
    else:
        yield float(value)
