"""A table of labels: a CSV whose rows name an image's file and its label."""

import csv
from pathlib import Path

from training.datasets.formats import DataError
from training.datasets.image_file import printable

COLUMNS = ("file", "label")


def find_table(path: Path) -> Path | None:
    """Return the table that a path is or, where a folder, has in it; None without one. Raises DataError for several."""
    if path.is_file():
        return path
    tables = [file for file in sorted(path.glob("*.csv")) if _has_labels(file)]
    if len(tables) > 1:
        names = " and ".join(printable(table.name) for table in tables)
        raise DataError(f"{printable(path)}: {names} both give labels; name one of them: --images {tables[0]}")
    return tables[0] if tables else None


def read_table(table: Path) -> dict[Path, str]:
    """Return the label of each file that a table names; its paths start from the folder of the table.

    Its first row has the names of the columns, file and label among them; without such a row the first two columns are
    taken. Raises DataError for a file with two labels, and for a row without both.
    """
    rows = _rows(table)
    named = bool(rows) and _is_header(rows[0])
    places = [_cells(rows[0]).index(column) if named else place for place, column in enumerate(COLUMNS)]
    labels: dict[Path, str] = {}
    for number, row in enumerate(rows[named:], 1 + named):
        file, label = (row[place].strip() if place < len(row) else "" for place in places)
        if not file or not label:
            raise DataError(
                f"{printable(table)}, row {number}: a file and its label are needed, as in roses/1.jpg,rose"
            )
        if labels.setdefault(table.parent / file, label) != label:
            raise DataError(
                f"{printable(table)}, row {number}: {printable(file)} has the label {label!r} here and "
                f"{labels[table.parent / file]!r} above: keep one row, or make a label of its own for such images"
            )
    return labels


def _has_labels(table: Path) -> bool:
    """Return whether a CSV has the columns of a table, or names a file in its first row."""
    try:
        first = next(iter(_rows(table)), [])
    except DataError:  # it belongs to something else
        return False
    return _is_header(first) or (len(first) == len(COLUMNS) and (table.parent / first[0]).is_file())


def _is_header(row: list[str]) -> bool:
    return set(COLUMNS) <= set(_cells(row))


def _cells(row: list[str]) -> list[str]:
    return [cell.strip().lower() for cell in row]


def _rows(table: Path) -> list[list[str]]:
    """Return the rows that are not empty. Raises DataError when the file is not a CSV in UTF-8."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            return [row for row in csv.reader(file) if any(row)]
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(
            f"{printable(table)}: not a CSV in UTF-8 ({error}); save it as one, with rows such as roses/1.jpg,rose"
        ) from error
