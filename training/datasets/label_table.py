"""A table of labels: a CSV whose rows name an image's file and its label, or several."""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

from training.datasets.foreign_file import advice_on
from training.datasets.formats import DataError
from training.datasets.image_file import printable

COLUMNS = ("file", "label")
SPLIT_COLUMN = "split"  # optional
PREDICTION_COLUMN = "probability"  # of a table of predictions, such as thimble-classify --csv writes
DELIMITERS = ",;\t|"  # of columns: spreadsheets write semicolons where a comma is the decimal point
# The first line that Excel understands; others write sep=\t, repeat the separator, or leave it out.
DELIMITER_LINE = re.compile(r'\s*"?sep=(\\t|[^\w\r\n"\0]?)[^\w\r\n]*[\r\n]*', re.IGNORECASE)
BLANK_AFTER_QUOTE = re.compile(r'(?<=") +(?=[,;|\t\r\n]|$)')  # a strict reader refuses it; cells are stripped anyway
SEPARATORS = re.compile(r"[;|]")  # of the labels in a cell
FIRST_ROW = 80  # characters of it in a message
SEVERAL = "for images with several labels, add --multi-label"


class TableRow(NamedTuple):
    """Of a file: its labels, and the name of its split as it is written; "" where the table has none."""

    labels: tuple[str, ...]
    split: str = ""


def find_table(path: Path) -> Path | None:
    """Return the table that a path is or, where a folder, has in it; None without one.

    Raises DataError for several, and for a file that is something else.
    """
    if not path.is_dir():
        if advice := advice_on(path) if path.is_file() else "neither a folder nor a file: name a folder of images":
            raise DataError(f"{printable(path)}: {advice}")
        return path
    tables = [file for file in _csv_files(path) if not _objection(file)]
    if len(tables) > 1:
        names = " and ".join(printable(table.name) for table in tables)
        raise DataError(f"{printable(path)}: {names} both give labels; name one of them in place of the folder")
    return tables[0] if tables else None


def foreign_tables(folder: Path) -> tuple[str, ...]:
    """Return a message for each CSV in a folder that gives no labels, with the reason."""
    return tuple(filter(None, map(_objection, _csv_files(folder))))


def read_table(table: Path, multi_label: bool = False) -> dict[Path, TableRow]:
    """Return the labels and the split of each file that a table names; its paths start from the folder of the table.

    Its first row has the names of the columns, file and label among them, optionally split; without such a row the
    first two columns are taken. Raises DataError for columns that share a name, for a row without both, for one with
    more cells than the first row has and for a file with two labels or two splits; with multi_label a file may have
    several labels, in one cell or in several rows, or none.
    """
    found: dict[Path, TableRow] = {}
    for where, file, row in _named_files(table, multi_label):
        path, labels = table.parent / file, row.labels
        if before := found.get(path):
            if before.labels != labels and not (multi_label and before.labels and labels):
                raise DataError(
                    f"{where}: {printable(file)} has {_named(labels)} here and {_named(before.labels)} above: keep one "
                    f"row, or make a label of its own for such images; {SEVERAL}"
                )
            if before.split != row.split:
                raise DataError(
                    f"{where}: {printable(file)} has the split {row.split!r} here and {before.split!r} above: keep one"
                )
            row = TableRow(tuple(dict.fromkeys((*before.labels, *labels))), row.split)
        found[path] = row
    return found


def _named_files(table: Path, multi_label: bool) -> Iterator[tuple[str, str, TableRow]]:
    """Yield of each row where it stands, the file that it names, and what it says of it. Raises DataError."""
    rows = list(_rows(table))
    _, first = rows[0] if rows else (1, [])
    named = _is_header(first)
    names = _cells(first) if named else list(COLUMNS)
    _refuse_doubled(table, names)
    places = [names.index(column) if column in names else len(first) for column in (*COLUMNS, SPLIT_COLUMN)]
    if not named:
        _refuse_foreign_header(table, rows)
    for line, row in rows[named:]:
        file, cell, split = (row[place].strip() if place < len(row) else "" for place in places)
        labels, where = _labels_in(cell), f"{printable(table)}, line {line}"
        if "\\" in file and not _is_file(table.parent / file):
            file = PureWindowsPath(file).as_posix()
        if not file or not (labels or multi_label):
            raise DataError(
                f"{where}: a file and its label are needed, separated by a comma, as in roses/1.jpg,rose; {SEVERAL}"
            )
        if not multi_label and len(labels) > 1:
            raise DataError(f"{where}: {printable(file)} has the labels {cell!r}: keep one; {SEVERAL}")
        if any(row[len(first) :]):
            raise DataError(
                f"{where}: {len(row)} cells, but the first row has {len(first)}: put several labels into one cell as "
                "in cat|dog, and quotes around a comma"
            )
        yield where, file, TableRow(tuple(dict.fromkeys(labels)), split)


def _refuse_doubled(table: Path, names: Sequence[str]) -> None:
    """Raise DataError where columns share a name, of which only the first would be read."""
    if doubled := next((name for name in (*COLUMNS, SPLIT_COLUMN) if names.count(name) > 1), None):
        raise DataError(
            f"{printable(table)}: {names.count(doubled)} columns are named {doubled}: keep one, with several labels in "
            f"one cell as in cat|dog; {SEVERAL}"
        )


def _labels_in(cell: str) -> tuple[str, ...]:
    return tuple(filter(None, (label.strip() for label in SEPARATORS.split(cell))))


def _refuse_foreign_header(table: Path, rows: Sequence[tuple[int, list[str]]]) -> None:
    """Raise DataError where the first row has other names of columns: no such file, and a label that no other has."""
    if len(rows) < 2:
        return
    line, (file, label) = rows[0][0], (*rows[0][1], "")[:2]
    labels = Counter(chain.from_iterable(_labels_in(row[1]) for _, row in rows if len(row) > 1))
    if labels[label.strip()] <= 1 and not _is_file(table.parent / file.strip()):
        raise DataError(
            f"{printable(table)}, line {line}: there is no file {file!r}; if these are the names of the columns, name "
            "them file and label"
        )


def _named(labels: tuple[str, ...]) -> str:
    return f"the label {'; '.join(labels)!r}" if labels else "no label"


def _csv_files(folder: Path) -> list[Path]:
    """Return the CSVs directly in a folder, by name, except hidden ones."""
    found = (file for file in sorted(folder.iterdir()) if file.suffix.lower() == ".csv" and file.is_file())
    return [file for file in found if not file.name.startswith(".")]


def _objection(table: Path) -> str:
    """Return why a CSV gives no labels; "" where it has the columns of a table, or names a file in its first row."""
    try:
        _, first = next(_rows(table), (1, []))
    except DataError as error:
        return str(error)
    if _is_header(first):  # a model is not to learn from its own answers
        predicted = PREDICTION_COLUMN in _cells(first)
        return f"{printable(table)}: predictions, which are not read as labels" if predicted else ""
    if len(first) == len(COLUMNS) and _is_file(table.parent / first[0]):
        return ""
    return (
        f"{printable(table)}: not read as a table of labels: its first row is {','.join(first)[:FIRST_ROW]!r}; if it "
        "gives labels, name its columns file and label"
    )


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


def _rows(table: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not empty, with the lines that they end in. Raises DataError for no CSV in UTF-8."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            above, first, stated = _beginning(file)
            for line, row in _parsed(chain([first], file), _delimiter(table, first, stated), above):
                if "\0" in "".join(row):
                    raise _not_a_csv(table, f"a null character in line {line}")
                yield line, row
    except (csv.Error, UnicodeDecodeError) as error:
        raise _not_a_csv(table, str(error)) from error


def _parsed(lines: Iterable[str], delimiter: str, above: int) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows; above: how many lines are above them. Raises csv.Error, as for a quote that is not closed."""
    trimmed = (BLANK_AFTER_QUOTE.sub("", line) for line in lines)
    reader, end = csv.reader(trimmed, delimiter=delimiter, skipinitialspace=True, strict=True), 0
    try:
        for row in reader:
            end = reader.line_num
            if any(row):
                yield above + end, row
    except csv.Error as error:
        raise csv.Error(f"in the row that begins in line {above + end + 1}, {error}: look at its quotes") from error


def _beginning(lines: Iterable[str]) -> tuple[int, str, str]:
    """Return how many lines are above the first row, that row, and the separator that a line above it states."""
    stated = ""
    for above, line in enumerate(lines):
        if found := DELIMITER_LINE.fullmatch(line):
            stated = str(found[1]).replace("\\t", "\t")
        elif line.strip():
            return above, line, stated
    return 0, "", stated


def _delimiter(table: Path, first: str, stated: str) -> str:
    """Return what separates the columns: what gives the columns' names or an image's file; otherwise as stated."""
    candidates: list[str] = [each for each in (stated, *DELIMITERS) if each]
    rows = {each: next(csv.reader([first], delimiter=each, skipinitialspace=True), []) for each in candidates}
    for each, row in rows.items():
        if _is_header(row) or (len(row) >= len(COLUMNS) and _is_file(table.parent / row[0].strip())):
            return each
    return stated or DELIMITERS[0]


def _not_a_csv(table: Path, reason: str) -> DataError:
    return DataError(
        f"{printable(table)}: not a CSV in UTF-8 ({reason}); save it as one, with rows such as roses/1.jpg,rose"
    )
