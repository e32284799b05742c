"""The forms in which the command writes its answers: lines for people, JSON a line, or CSV."""

import csv
import json
from collections.abc import Callable
from typing import TextIO
from unicodedata import category

import msgspec
from msgspec import UNSET

from serving.errors import Problem
from serving.prediction import Prediction

COLUMNS = (
    "file", "model", "version", "label", "probability", "labels", "set", "coverage", "novelty", "novel", "error",
)  # fmt: skip
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet runs a cell that begins so

Write = Callable[[str, Prediction | Problem], None]


def text_writer(file: TextIO, labels: int | None) -> Write:
    """Return a writer of a line for each prediction; labels: how many each lists. Problems are for standard error."""

    def write(name: str, answer: Prediction | Problem) -> None:
        if isinstance(answer, Prediction):
            print(printable(f"{name}: {in_words(answer, labels)}"), file=file, flush=True)

    return write


def json_writer(file: TextIO) -> Write:
    """Return a writer of a JSON object for each prediction or problem; names stay as they are, if they are UTF-8."""

    def write(name: str, answer: Prediction | Problem) -> None:
        kind = "error" if isinstance(answer, Problem) else "prediction"
        text = name.encode(errors="backslashreplace").decode()  # JSON has no bytes that are not UTF-8
        line = msgspec.json.encode({"file": text, kind: answer}).decode()
        print("".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in line), file=file, flush=True)

    return write


def csv_writer(file: TextIO) -> Write:
    """Return a writer of a row for each prediction or problem, below the names of the columns."""
    table = csv.writer(file)
    table.writerow(COLUMNS)

    def write(name: str, answer: Prediction | Problem) -> None:
        cells = _cells(answer) | {"file": name}
        table.writerow([_harmless(cells.get(column, "")) for column in COLUMNS])
        file.flush()

    return write


def _cells(answer: Prediction | Problem) -> dict[str, object]:
    if isinstance(answer, Problem):
        return {"error": f"{answer.title}: {answer.detail}"}
    given = " | ".join(one.label for one in answer.labels or ())
    cells: dict[str, object] = msgspec.to_builtins(answer) | {"set": " | ".join(answer.set), "labels": given}
    if "novel" in cells:
        cells["novel"] = str(answer.novel).lower()
    return {name: "" if value is None else value for name, value in cells.items()}


def _harmless(cell: object) -> object:
    if not isinstance(cell, str):
        return cell
    return f"'{printable(cell)}" if cell.startswith(FORMULA) else printable(cell)


def in_words(prediction: Prediction, labels: int | None = None) -> str:
    """Return a prediction in a line; labels: how many to list with their probabilities, None for those given alone."""
    novel = "; unlike anything it was trained on" if prediction.novel is True else ""
    given = prediction.top[:1] if prediction.labels is UNSET else prediction.labels
    shown = prediction.top[:labels] if labels else given
    listed = ", ".join(f"{one.label} {100 * one.probability:.1f}%" for one in shown)
    return f"{listed or 'none of its labels'} ({', '.join(prediction.set)}) {prediction.model}{novel}"


def printable(text: str) -> str:
    """Escape control characters, so that no file name and no server can drive the terminal.

    Spaces of all widths stay: macOS has a narrow one in the names of its screenshots.
    """
    return "".join(c if c.isprintable() or category(c) == "Zs" else ascii(c)[1:-1] for c in text)
