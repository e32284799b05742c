"""A table of labels: a CSV whose rows name an image's file and its label, or several."""

import csv
import re
from pathlib import Path

from training.datasets.formats import DataError
from training.datasets.image_file import printable

COLUMNS = ("file", "label")
SEPARATORS = re.compile(r"[;|]")  # of the labels in a cell
SEVERAL = "for images with several labels, add --multi-label"


def find_table(path: Path) -> Path | None:
    """Return the table that a path is or, where a folder, has in it; None without one. Raises DataError for several."""
    if path.is_file():
        return path
    tables = [file for file in sorted(path.glob("*.csv")) if file.is_file() and _has_labels(file)]
    if len(tables) > 1:
        names = " and ".join(printable(table.name) for table in tables)
        raise DataError(f"{printable(path)}: {names} both give labels; name one of them: --images {tables[0]}")
    return tables[0] if tables else None


def read_table(table: Path, multi_label: bool = False) -> dict[Path, tuple[str, ...]]:
    """Return the labels of each file that a table names; its paths start from the folder of the table.

    Its first row has the names of the columns, file and label among them; without such a row the first two columns are
    taken. Raises DataError for a row without both and for a file with two labels; with multi_label a file may have
    several, in one cell or in several rows, or none.
    """
    rows = _rows(table)
    _, first = rows[0] if rows else (1, [])
    named = _is_header(first)
    places = [_cells(first).index(column) if named else place for place, column in enumerate(COLUMNS)]
    labels: dict[Path, tuple[str, ...]] = {}
    for line, row in rows[named:]:
        file, cell = (row[place].strip() if place < len(row) else "" for place in places)
        found = tuple(filter(None, (label.strip() for label in SEPARATORS.split(cell))))
        where, before = f"{printable(table)}, line {line}", labels.get(table.parent / file)
        if not file or not (found or multi_label):
            raise DataError(f"{where}: a file and its label are needed, as in roses/1.jpg,rose; {SEVERAL}")
        if not multi_label and len(found) > 1:
            raise DataError(f"{where}: {printable(file)} has the labels {cell!r}: keep one; {SEVERAL}")
        if before is not None and before != found and not (multi_label and before and found):
            raise DataError(
                f"{where}: {printable(file)} has {_named(found)} here and {_named(before)} above: keep one row, or "
                f"make a label of its own for such images; {SEVERAL}"
            )
        labels[table.parent / file] = tuple(dict.fromkeys((*(before or ()), *found)))
    return labels


def _named(labels: tuple[str, ...]) -> str:
    return f"the label {'; '.join(labels)!r}" if labels else "no label"


def _has_labels(table: Path) -> bool:
    """Return whether a CSV has the columns of a table, or names a file in its first row."""
    try:
        _, first = next(iter(_rows(table)), (1, []))
    except DataError:  # it belongs to something else
        return False
    return _is_header(first) or (len(first) == len(COLUMNS) and _is_file(table.parent / first[0]))


def _is_file(path: Path) -> bool:
    """Return whether a path is a file; a text that is too long for a name is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def _is_header(row: list[str]) -> bool:
    return set(COLUMNS) <= set(_cells(row))


def _cells(row: list[str]) -> list[str]:
    return [cell.strip().lower() for cell in row]


def _rows(table: Path) -> list[tuple[int, list[str]]]:
    """Return the rows that are not empty, with the lines that they end in. Raises DataError for no CSV in UTF-8."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            return [(reader.line_num, row) for row in reader if any(row)]
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(
            f"{printable(table)}: not a CSV in UTF-8 ({error}); save it as one, with rows such as roses/1.jpg,rose"
        ) from error
