"""Ctrl-C and SIGTERM end a command with a line, not with a traceback, and at once while it loads its packages."""

import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from own_images import fill

from serving.model.classifier import Classifier
from training import evaluate, images, versions
from training.command import Terminated, exit_status
from training.train.interrupt import CtrlC, without_interruption

REPOSITORY = Path(__file__).parents[2]
MODELS = REPOSITORY / "models"


@pytest.fixture
def _interruptible() -> Iterator[None]:
    """Let this process be interrupted even if it was started in the background, which ignores Ctrl-C."""
    before = [signal.signal(signal.SIGINT, signal.default_int_handler), signal.getsignal(signal.SIGTERM)]
    yield
    signal.signal(signal.SIGINT, before[0])
    signal.signal(signal.SIGTERM, before[1])


def press() -> None:
    signal.raise_signal(signal.SIGINT)


def terminate() -> None:
    signal.raise_signal(signal.SIGTERM)


def interrupted(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def test_an_interrupt_ends_with_130_and_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(images, "print_survey", interrupted)
    monkeypatch.setattr(Classifier, "open", interrupted)

    statuses = (
        images.main([str(fill(tmp_path / "flowers"))]),
        evaluate.main([str(MODELS / "fashion-mlp/2/model.onnx")]),
        versions.main(["fashion-mlp", "--models-dir", str(MODELS)]),
    )

    assert statuses == (130, 130, 130)
    assert capsys.readouterr().err.count("Interrupted") == 3


def scripts() -> list[tuple[str, ...]]:
    """Return how the console scripts of training are started, as arguments of Python."""
    declared = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["scripts"].values()
    named = [script.partition(":") for script in declared if script.startswith("training.")]
    return [("-c", f"import sys; from {module} import {name}; sys.exit({name}())") for module, _, name in named]


MODULES = [("-m", f"training.{command}") for command in ("export", "evaluate", "images", "versions", "lecture")]


@pytest.mark.usefixtures("_interruptible")
@pytest.mark.parametrize("command", [*MODULES, *scripts()], ids=" ".join)
def test_an_interrupt_while_packages_are_loaded_shows_no_traceback(tmp_path, command):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch/__init__.py").write_text("import signal\nsignal.raise_signal(signal.SIGINT)\n")
    path = os.pathsep.join(map(str, (tmp_path, REPOSITORY)))

    ended = subprocess.run(
        [sys.executable, *command, "--help"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, "", "")


@pytest.mark.usefixtures("_interruptible")
class TestExitStatus:
    @pytest.mark.parametrize("before", [signal.SIG_DFL, signal.default_int_handler])
    def test_an_interrupt_is_told_with_what_to_do(self, before, capsys):
        signal.signal(signal.SIGINT, before)

        assert exit_status("training.x", press, (), "nothing was changed.") == 130
        assert capsys.readouterr().err == "Interrupted: nothing was changed.\n"

    def test_an_interrupt_that_a_shell_ignores_in_the_background_stays_ignored(self):
        signal.signal(signal.SIGINT, signal.SIG_IGN)

        assert exit_status("training.x", press, (), "nothing was changed.") == 0

    def test_sigterm_is_told_with_what_to_do_and_is_the_systems_again_afterwards(self, capsys):
        assert exit_status("training.x", terminate, (), "nothing was changed.") == 143
        assert capsys.readouterr().err == "Terminated: nothing was changed.\n"
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL

    def test_a_sigterm_that_another_program_handles_is_left_to_it(self):
        heard: list[int] = []
        signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))

        assert exit_status("training.x", terminate, (), "") == 0
        assert heard == [signal.SIGTERM]

    def test_a_refusal_is_told_by_the_name_of_the_command(self, capsys):
        assert exit_status("training.x", partial(Path("gone").read_text), (OSError,), "") == 1
        assert capsys.readouterr().err == "training.x: gone: No such file or directory\n"

    def test_a_refused_file_whose_name_would_change_the_terminal_is_told_in_codes(self, capsys):
        assert exit_status("training.x", partial(Path("gone\x1b[2J").read_text), (OSError,), "") == 1
        assert capsys.readouterr().err == "training.x: 'gone\\x1b[2J': No such file or directory\n"

    @pytest.mark.parametrize("error", [OSError("full"), OSError(28, "full")])
    def test_a_refusal_without_a_file_is_told_as_it_is(self, capsys, error):
        def refuse() -> None:
            raise error

        assert exit_status("training.x", refuse, (OSError,), "") == 1
        assert capsys.readouterr().err == "training.x: full\n"

    def test_another_error_is_a_bug_and_keeps_its_traceback(self):
        with pytest.raises(ZeroDivisionError):
            exit_status("training.x", lambda: 1 / 0, (OSError,), "")


@pytest.mark.usefixtures("_interruptible")
class TestWithoutInterruption:
    def twice(self, done: list[int]) -> None:
        with without_interruption():
            done.append(1)
            press()
            done.append(2)
        done.append(3)

    @pytest.mark.parametrize("outer", [CtrlC, without_interruption])
    def test_an_interrupt_takes_effect_at_the_end(self, outer: Callable[[], Any]):
        done: list[int] = []

        with pytest.raises(KeyboardInterrupt), outer():
            self.twice(done)

        assert done == ([1, 2] if outer is CtrlC else [1, 2, 3])

    @pytest.mark.parametrize("outer", [CtrlC, nullcontext])
    def test_sigterm_takes_effect_at_the_end(self, outer: Callable[[], Any]):
        done: list[int] = []

        def work() -> None:
            with outer(), without_interruption():
                terminate()
                done.append(1)
            done.append(2)

        assert exit_status("training.x", work, (), "") == 143
        assert done == [1]

    def test_a_sigterm_that_python_dropped_is_raised_at_the_next_check(self):
        def work() -> None:
            with CtrlC() as ctrl_c:
                with suppress(Terminated):
                    terminate()
                ctrl_c.check()

        assert exit_status("training.x", work, (), "") == 143

    def test_an_interrupt_that_is_ignored_stays_so(self):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        done: list[int] = []

        self.twice(done)

        assert done == [1, 2, 3]
