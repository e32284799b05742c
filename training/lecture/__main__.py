"""python -m training.lecture: recompute the lecture's worked examples, as a report with a table of agreement."""

from training.command import exit_status, quit_on_ctrl_c

if __name__ == "__main__":
    quit_on_ctrl_c()

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import msgspec
import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from training.datasets.builtin import CIFAR_10, FASHION_MNIST
from training.datasets.formats import DataError
from training.lecture import (
    approximation,
    architecture,
    cifar_demo,
    collapse,
    descent,
    fashion_demo,
    gradients,
    nonlinearities,
    outputs,
    overfitting,
    symmetry,
    xor,
)
from training.lecture.agreement import Row, format_value
from training.lecture.report import Report
from training.lecture.section import Lesson, Section
from training.progress import CONSOLE, say, stage
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
    fashion_demo.section,
    cifar_demo.section,
)
REPORT_FILE, TABLE_FILE, XOR_FILE = "report.html", "table.json", "xor.onnx"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the report and return the exit status, which is 0 even if a result disagrees with the lecture."""
    options = _parser().parse_args(arguments)
    keep_memory()
    interrupted = "no report was written. Run the same command again."
    return exit_status("training.lecture", partial(_report, options), (DataError, OSError), interrupted)


def _report(options: argparse.Namespace) -> None:
    _make_writable(options.out)
    start = time.perf_counter()
    lesson = Lesson(FASHION_MNIST.load(options.data_dir), CIFAR_10.load(options.data_dir), options.full)
    sections = list(_sections(lesson))
    report = Report(sections, _run_note(lesson, time.perf_counter() - start))
    _write(report, options.out)
    _print_result(report, options.out, options.json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.lecture",
        description="Recompute the lecture's worked examples. Writes a report in HTML (report.html), its table of "
        "agreement with the lecture (table.json) and the lecture's XOR network (xor.onnx).",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("lecture"), metavar="DIR", help="folder to write to (default: lecture)"
    )
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="folder to search first for the data sets")
    parser.add_argument(
        "--full", action="store_true", help="train the two demos exactly as the lecture does: takes some minutes more"
    )
    parser.add_argument("--json", action="store_true", help="print the table of agreement as JSON")
    return parser


def _make_writable(folder: Path) -> None:
    """Create a folder unless it exists, and check now that files can be written to it. Raises OSError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise OSError(f"{folder} cannot be written to ({error.strerror}); name another folder with --out") from error


def _sections(lesson: Lesson) -> Iterator[Section]:
    for number, section in enumerate(SECTIONS, start=1):
        name = section.__module__.rpartition(".")[2].replace("_", " ")
        begun = f"section {number} of {len(SECTIONS)}: {name}"
        if not CONSOLE.is_interactive:  # otherwise the line below stands there while it lasts
            stage(begun)
        with CONSOLE.status(begun):
            yield section(lesson)


def _run_note(lesson: Lesson, seconds: float) -> str:
    how = "exactly as the lecture trains them" if lesson.full else "with faster recipes (--full: as the lecture does)"
    return (
        f"Computed in {seconds:.0f} s with PyTorch {torch.__version__}, threads: {torch.get_num_threads()}. "
        f"The two demos are trained {how}."
    )


def _write(report: Report, folder: Path) -> None:
    (folder / XOR_FILE).write_bytes(xor.to_onnx().SerializeToString())
    (folder / TABLE_FILE).write_bytes(_json(report.rows))
    (folder / REPORT_FILE).write_text(report.to_html(), encoding="utf-8")


def _json(rows: Sequence[Row]) -> bytes:
    plain = [{"item": row.item, "lecture": row.lecture, "here": row.here, "agrees": row.agrees} for row in rows]
    return msgspec.json.format(msgspec.json.encode(plain), indent=1)


def _print_result(report: Report, folder: Path, as_json: bool) -> None:
    if as_json:
        print(_json(report.rows).decode())
        return
    table = Table("Item", "Lecture", "Here", "Agrees", title="The lecture's claims and the results here")
    for row in report.rows:
        cells = (escape(format_value(value)) for value in (row.item, row.lecture, row.here))
        table.add_row(*cells, "yes" if row.agrees else "[red]no[/]")
    console = Console()
    console.print(table)
    console.print(report.summary, highlight=False)
    say(console, f"Written to {folder / REPORT_FILE}")


if __name__ == "__main__":
    sys.exit(main())
