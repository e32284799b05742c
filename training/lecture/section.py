"""The building blocks of a section of the report."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from training.datasets.labelled import TrainTest
from training.lecture.agreement import Row


@dataclass(frozen=True)
class Lesson:
    """The data that the sections use; full: train the two demos exactly as the lecture does."""

    fashion_mnist: TrainTest
    cifar_10: TrainTest
    full: bool = False


@dataclass(frozen=True)
class Plot:
    """A figure as a data URL; alt: its description for a person who cannot see it."""

    kind: ClassVar[str] = "plot"
    url: str
    alt: str
    caption: str


@dataclass(frozen=True)
class Table:
    """A table; cells with numbers are right-aligned."""

    kind: ClassVar[str] = "table"
    headings: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    caption: str


@dataclass(frozen=True)
class Matrices:
    """Named matrices side by side: the steps of a calculation."""

    kind: ClassVar[str] = "matrices"
    steps: Sequence[tuple[str, Tensor]]
    caption: str


@dataclass(frozen=True)
class Section:
    """One section of the report and its rows of the table of agreement.

    blocks: in reading order; backticks in a text mark `code`. code: names of the functions and values behind it.
    """

    title: str
    blocks: tuple[str | Plot | Table | Matrices, ...]
    rows: tuple[Row, ...]
    code: tuple[str, ...]
