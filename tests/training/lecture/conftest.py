"""What the tests of the lecture share: its lesson on lookalikes, and one run of the whole command."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from training.datasets.images import DataSet
from training.lecture import approximation, architecture, descent, overfitting, symmetry
from training.lecture.__main__ import main
from training.lecture.section import Lesson


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute in one thread: at this size a second costs more than it brings, the more so on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="session")
def lesson(garments: DataSet, things: DataSet) -> Lesson:
    """Both lookalikes."""
    return Lesson(garments, things)


@pytest.fixture(scope="session")
def _sooner() -> Iterator[None]:
    """Go through the lecture with few steps: it is as long, and says as much, but finds less."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (descent, symmetry):
            patch.setattr(module, "STARTS", 20)
            patch.setattr(module, "STEPS", 50)
        patch.setattr(approximation, "STEPS", 10)
        patch.setattr(architecture, "WIDTHS", (8, 16))
        patch.setattr(overfitting, "LONG", replace(overfitting.LONG, epochs=3))
        yield


@dataclass(frozen=True)
class Finished:
    """A run that went through: the folder that it wrote, and what it printed."""

    out: Path
    printed: str

    @property
    def html(self) -> str:
        return (self.out / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def run(data_dir: Path, _sooner: None) -> Callable[..., int]:
    """Run training.lecture on the lookalikes; returns its exit status."""

    def run(out: Path, *arguments: str) -> int:
        return main(["--data-dir", str(data_dir), "--out", str(out), *arguments])

    return run


@pytest.fixture(scope="session")
def finished(run: Callable[..., int], tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The whole command with --json, run once: only to be read."""
    out = tmp_path_factory.mktemp("lecture") / "not" / "there yet"
    with one_thread(), redirect_stdout(io.StringIO()) as printed:
        assert run(out, "--json") == 0
    return Finished(out, printed.getvalue())
