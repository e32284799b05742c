"""python -m training.lecture: the lecture's worked examples rebuilt, as a report and a table of what agrees."""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from training.datasets import CIFAR_10, FASHION_MNIST
from training.datasets.formats import DataError
from training.lecture import (
    approximation,
    architecture,
    collapse,
    descent,
    garments,
    gradients,
    nonlinearities,
    outputs,
    overfitting,
    symmetry,
    things,
    xor,
)
from training.lecture.agreement import Row, shown
from training.lecture.page import Report
from training.lecture.section import Lesson, Section
from training.progress import CONSOLE
from training.train.allocator import keep_memory

SECTIONS: tuple[Callable[[Lesson], Section], ...] = (
    xor.section,
    descent.section,
    collapse.section,
    nonlinearities.section,
    outputs.section,
    architecture.section,
    approximation.section,
    gradients.section,
    symmetry.section,
    overfitting.section,
    garments.section,
    things.section,
)
REPORT, TABLE, XOR = "report.html", "table.json", "xor.onnx"


def main(arguments: Sequence[str] | None = None) -> int:
    """Rebuild the lecture; returns the exit status, which is 0 also where something disagrees."""
    options = _parser().parse_args(arguments)
    keep_memory()
    try:
        _can_be_written_to(options.out)
        start = time.perf_counter()
        lesson = Lesson(FASHION_MNIST.load(options.data_dir), CIFAR_10.load(options.data_dir), options.full)
        sections = list(_made(lesson))
        report = Report(sections, _circumstances(lesson, time.perf_counter() - start))
        _write(report, options.out)
    except KeyboardInterrupt:
        print("Interrupted: no report was written.", file=sys.stderr)
        return 130
    except (DataError, OSError) as error:
        print(f"training.lecture: {error}", file=sys.stderr)
        return 1
    _tell(report, options.out, options.json)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.lecture",
        description="Rebuild the lecture's worked examples: a report in HTML, and a table of what agrees.",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("lecture"), metavar="DIR", help="where to write (default: lecture)"
    )
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="where to look for the data first")
    parser.add_argument(
        "--full", action="store_true", help="train the two demos as the lecture does: some minutes more"
    )
    parser.add_argument("--json", action="store_true", help="print the table as JSON")
    return parser


def _can_be_written_to(folder: Path) -> None:
    """Make a folder if need be, and find out now whether it takes files. Raises OSError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise OSError(f"{folder} cannot be written to ({error.strerror}); name another folder with --out") from error


def _made(lesson: Lesson) -> Iterator[Section]:
    for number, section in enumerate(SECTIONS, start=1):
        with CONSOLE.status(f"section {number} of {len(SECTIONS)}"):
            yield section(lesson)


def _circumstances(lesson: Lesson, seconds: float) -> str:
    length = (
        "as long as the lecture trains them" if lesson.full else "with faster recipes (--full: as the lecture does)"
    )
    return (
        f"Made in {seconds:.0f} s with PyTorch {torch.__version__}, threads: {torch.get_num_threads()}. "
        f"The two demos are trained {length}."
    )


def _write(report: Report, folder: Path) -> None:
    (folder / XOR).write_bytes(xor.to_onnx().SerializeToString())
    (folder / TABLE).write_bytes(_json(report.rows))
    (folder / REPORT).write_text(report.to_html(), encoding="utf-8")


def _json(rows: Sequence[Row]) -> bytes:
    plain = [{"item": row.item, "lecture": row.lecture, "here": row.here, "agrees": row.agrees} for row in rows]
    return msgspec.json.format(msgspec.json.encode(plain), indent=1)


def _tell(report: Report, folder: Path, as_json: bool) -> None:
    if as_json:
        print(_json(report.rows).decode())
        return
    table = Table("Item", "Lecture", "Here", "Agrees")
    for row in report.rows:
        cells = (escape(shown(value)) for value in (row.item, row.lecture, row.here))
        table.add_row(*cells, "yes" if row.agrees else "[red]no[/]")
    console = Console()
    console.print(table)
    console.print(report.summary, highlight=False)
    console.print(f"Written to {folder / REPORT}", markup=False, soft_wrap=True, highlight=False)


if __name__ == "__main__":
    sys.exit(main())
