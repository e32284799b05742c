"""Shared by the lecture's tests: a lesson on lookalike data, and one quick run of the whole command."""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from training.datasets.labelled import TrainTest
from training.lecture import approximation, architecture, cifar_demo, descent, nonlinearities, overfitting, symmetry
from training.lecture.__main__ import main
from training.lecture.section import Lesson


@pytest.fixture(scope="session")
def lesson(garments: TrainTest, things: TrainTest) -> Lesson:
    """The lookalikes of both data sets."""
    return Lesson(garments, things)


@pytest.fixture(scope="session")
def _few_steps() -> Iterator[None]:
    """Train with few steps: the report is as long, only its results are worse."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (descent, symmetry):
            patch.setattr(module, "RANDOM_STARTS", 20)
            patch.setattr(module, "GRADIENT_STEPS", 50)
        patch.setattr(approximation, "WIDTHS", (4, 16))
        patch.setattr(approximation, "ADAM_STEPS", 10)
        patch.setattr(architecture, "WIDTHS", (8, 16))
        patch.setattr(nonlinearities, "SHORT_TRAINING", replace(nonlinearities.SHORT_TRAINING, epochs=1))
        patch.setattr(overfitting, "LONG_TRAINING", replace(overfitting.LONG_TRAINING, epochs=3))
        patch.setattr(cifar_demo, "FAST_RECIPE", replace(cifar_demo.FAST_RECIPE, epochs=1))
        yield


@dataclass(frozen=True)
class FinishedRun:
    """A successful run: the folder that it wrote and the text that it printed."""

    out: Path
    printed: str

    @property
    def html(self) -> str:
        return (self.out / "report.html").read_text(encoding="utf-8")

    @property
    def rows(self) -> dict[str, dict[str, Any]]:
        """The rows of table.json by item."""
        return {row["item"]: row for row in json.loads((self.out / "table.json").read_text(encoding="utf-8"))}


@pytest.fixture(scope="session")
def run(data_dir: Path, _few_steps: None) -> Callable[..., int]:
    """Run training.lecture on the lookalikes; returns its exit status."""

    def run(out: Path, *arguments: str) -> int:
        return main(["--data-dir", str(data_dir), "--out", str(out), *arguments])

    return run


@pytest.fixture(scope="session")
def finished(run: Callable[..., int], tmp_path_factory: pytest.TempPathFactory) -> FinishedRun:
    """One run of the whole command with --json; tests only read it."""
    out = tmp_path_factory.mktemp("lecture") / "not" / "there yet"
    with redirect_stdout(io.StringIO()) as printed:
        assert run(out, "--json") == 0
    return FinishedRun(out, printed.getvalue())
