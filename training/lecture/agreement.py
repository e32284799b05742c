"""The table of agreement: each row compares a claim of the lecture with the result here."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

ROUNDING_TOLERANCE = 1e-12  # for results in float64

Value = int | float | str | tuple["Value", ...]


@dataclass(frozen=True)
class Row:
    """A claim of the lecture beside the result here; criterion: the rule by which the two agree."""

    item: str
    lecture: Value
    here: Value
    agrees: bool
    criterion: str


def exactly(item: str, lecture: Value, here: Value) -> Row:
    """Return a row that agrees if the two values are equal."""
    return Row(item, lecture, here, lecture == here, "equal")


def nearly(item: str, lecture: Value, here: Value) -> Row:
    """Return a row that agrees if every number is the lecture's, but for rounding."""
    pairs = zip(_numbers(lecture), _numbers(here), strict=True)
    agrees = all(abs(one - other) <= ROUNDING_TOLERANCE for one, other in pairs)
    return Row(item, lecture, here, agrees, f"within {ROUNDING_TOLERANCE:g}")


def at_least(item: str, lecture: float, here: float, margin: float) -> Row:
    """Return a row that agrees if the figure is at least the lecture's minus a margin."""
    bound = lecture - margin
    return Row(item, lecture, here, here >= bound, f"at least {bound:.4f}, the lecture's minus {margin:.4f}")


def at_most(item: str, lecture: float, here: float, margin: float) -> Row:
    """Return a row that agrees if the figure is at most the lecture's plus a margin."""
    bound = lecture + margin
    return Row(item, lecture, here, here <= bound, f"at most {bound:.4f}, the lecture's plus {margin:.4f}")


def to_value(tensor: Tensor) -> Value:
    """Return the numbers of a tensor as a row holds them."""
    return tuple(to_value(part) for part in tensor) if tensor.ndim else tensor.item()


def format_value(value: Value) -> str:
    """Return a value as a person reads it."""
    if isinstance(value, tuple):
        return f"({', '.join(str(part) if isinstance(part, int) else format_value(part) for part in value)})"
    if isinstance(value, float):
        return f"{value + 0.0:.6g}"  # -0.0 becomes 0
    return f"{value:,}" if isinstance(value, int) else value


def _numbers(value: Value) -> Iterator[float]:
    if isinstance(value, tuple):
        for part in value:
            yield from _numbers(part)
    else:
        yield float(value)
