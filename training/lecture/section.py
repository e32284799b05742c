"""What a section of the report is made of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from training.datasets.images import DataSet
from training.lecture.agreement import Row


@dataclass(frozen=True)
class Lesson:
    """What the sections work with; full: train the two demos exactly as long as the lecture does."""

    garments: DataSet
    things: DataSet
    full: bool = False


@dataclass(frozen=True)
class Plot:
    """A figure as a data URL; alt: what it shows, for those who cannot see it."""

    kind: ClassVar[str] = "plot"
    url: str
    alt: str
    caption: str


@dataclass(frozen=True)
class Grid:
    """A table; cells that are numbers are set to the right."""

    kind: ClassVar[str] = "grid"
    headings: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    caption: str


@dataclass(frozen=True)
class Matrices:
    """Matrices in a row, each under its name: a calculation step by step."""

    kind: ClassVar[str] = "matrices"
    steps: Sequence[tuple[str, Tensor]]
    caption: str


@dataclass(frozen=True)
class Section:
    """blocks: in the order in which they are read; text marks `code` by backticks. names: where the code is."""

    title: str
    blocks: tuple[str | Plot | Grid | Matrices, ...]
    rows: tuple[Row, ...]
    names: tuple[str, ...]
