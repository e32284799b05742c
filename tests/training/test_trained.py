"""A recipe carried out: with a seed, with a teacher, and in two goes when it was interrupted."""

import hashlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import onnx
import pytest
import torch
from lookalikes import put
from rich.console import Console
from torch import Tensor

from serving.model.classifier import Classifier
from serving.model.card import ModelCard
from training.options import chosen, export_parser
from training.recipes import RECIPES
from training.train.checkpoint import CheckpointError
from training.train.course import Circumstances
from training.trained import Trained, carry_out

REPOSITORY = Path(__file__).parents[2]
QUICK = ("--limit", "100", "--epochs", "4")  # 90 images to train on: for most recipes one batch an epoch


def tree(folder: Path) -> dict[str, str]:
    """Return the digest of each file in a folder."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A folder of models that is not there yet."""
    return tmp_path / "models"


@pytest.fixture
def run(data_dir: Path, target: Path) -> Callable[..., Trained]:
    """Carry out what a command asks for, but for the export."""

    def run(*command: str, console: Console | None = None) -> Trained:
        options = export_parser().parse_args(command)
        (recipe,) = chosen(options)
        data = recipe.source.load(data_dir, options.limit)
        around = Circumstances(resume=options.resume)
        return carry_out(recipe, data, around, target, None, console or Console(quiet=True))

    return run


def assert_same(one: Trained, other: Trained) -> None:
    """Hold two networks and what was measured of them to the same bits."""
    states = [trained.fitted.network.state_dict() for trained in (one, other)]
    assert [name for name in states[0] if not torch.equal(states[0][name], states[1][name])] == []
    assert one.temperature == other.temperature


@pytest.mark.parametrize("name", ["fashion-mlp", "lecture-cnn-fast"])
def test_a_seed_gives_the_same_weights_each_time_and_another_seed_others(run, name):
    first, again, other = (run(name, *QUICK, "--seed", seed) for seed in ("7", "7", "8"))

    assert_same(first, again)
    weights = [trained.fitted.network[-1].weight for trained in (first, other)]
    assert not torch.equal(*weights)


class TestTeacher:
    COMMAND = ("lecture-mlp", *QUICK)

    @pytest.fixture(autouse=True)
    def _taught(self, models: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Have the recipe learn from a model that is there."""
        shutil.copytree(models / "fashion-mlp", target / "wise")
        monkeypatch.setitem(RECIPES, "lecture-mlp", replace(RECIPES["lecture-mlp"], teacher="wise"))

    def test_what_it_answers_decides_the_weights(self, run, monkeypatch):
        taught = run(*self.COMMAND)
        monkeypatch.setitem(RECIPES, "lecture-mlp", replace(RECIPES["lecture-mlp"], teacher=None))

        alone = run(*self.COMMAND)

        assert not torch.equal(taught.fitted.network[-1].weight, alone.fitted.network[-1].weight)

    def test_it_is_named(self, run, target):
        console = Console(width=80)

        with console.capture() as capture:
            run(*self.COMMAND, console=console)

        assert f"Asking the teacher, {target / 'wise' / '1' / 'model.onnx'}\n" in capture.get()

    def test_what_was_learned_from_another_version_is_not_taken_up_again(self, run, target):
        run(*self.COMMAND)
        shutil.copytree(target / "wise" / "1", target / "wise" / "2")

        with pytest.raises(CheckpointError, match="teacher wise, version 1, not wise, version 2"):
            run(*self.COMMAND, "--resume")

    def test_an_interrupted_training_goes_on_under_it(self, run, target, monkeypatch):
        interrupt(run, monkeypatch, *self.COMMAND)

        resumed = run(*self.COMMAND, "--resume")

        assert_same(resumed, run(*self.COMMAND))


def press_ctrl_c_where_it_is_lost(images: Tensor, generator: torch.Generator) -> Tensor:
    """Be an augmentation that changes nothing, and drops a KeyboardInterrupt as Python does in finalisers."""
    with suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    return images


@dataclass
class Interruption:
    """An augmentation that changes nothing; at one of its calls Ctrl-C is pressed."""

    call: int

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        self.call -= 1
        if self.call == 0:
            raise KeyboardInterrupt
        return images


def interrupt(run: Callable[..., object], monkeypatch: pytest.MonkeyPatch, *command: str) -> None:
    """Carry out a command until it is interrupted in a later epoch than the first."""
    recipe = RECIPES[command[0]]
    batches = -(-90 // recipe.batch)
    with monkeypatch.context() as patch:
        patch.setitem(RECIPES, recipe.name, replace(recipe, augmentations=(Interruption(2 * batches + 1),)))
        with pytest.raises(KeyboardInterrupt):
            run(*command)


class TestResume:
    COMMAND = ("fashion-mlp", *QUICK)

    @pytest.fixture
    def interrupted(self, run: Callable[..., Trained], target: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """The folder of models beside which a training was interrupted in its third epoch."""
        interrupt(run, monkeypatch, *self.COMMAND)
        return target

    @pytest.mark.usefixtures("interrupted")
    def test_it_ends_where_the_training_would_have_ended(self, run):
        resumed = run(*self.COMMAND, "--resume")

        whole = run(*self.COMMAND)
        assert_same(resumed, whole)
        assert [epoch.loss for epoch in resumed.fitted.epochs] == [epoch.loss for epoch in whole.fitted.epochs]

    @pytest.mark.usefixtures("interrupted")
    def test_without_it_the_training_begins_anew(self, run):
        anew = run(*self.COMMAND)

        assert [epoch.number for epoch in anew.fitted.epochs] == [1, 2, 3, 4]
        assert_same(anew, run(*self.COMMAND, "--resume"))

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            (("--seed", "2"), "seed 1, not 2"),
            (("--epochs", "5"), "epochs 4, not 5"),
            (("--limit", "90"), "data "),
        ],
    )
    def test_the_training_of_another_command_is_refused(self, run, interrupted, change, reason):
        before = tree(interrupted)

        with pytest.raises(CheckpointError, match=rf"fashion-mlp\.pt: saved by another training: {reason}.*--resume"):
            run(*self.COMMAND, *change, "--resume")

        assert tree(interrupted) == before

    def test_the_training_of_another_recipe_is_left_alone(self, run, interrupted):
        before = tree(interrupted)

        run("lecture-mlp", *QUICK)

        assert before.items() < tree(interrupted).items()


class TestCommand:
    """python -m training.export with --resume."""

    COMMAND = ("fashion-mlp", *QUICK)

    def test_a_training_goes_on_after_an_interruption_and_is_exported(self, run_export, target, monkeypatch, capsys):
        recipe = RECIPES["fashion-mlp"]
        with monkeypatch.context() as patch:
            patch.setitem(RECIPES, recipe.name, replace(recipe, augmentations=(Interruption(3),)))
            interrupted = run_export(target, *self.COMMAND)
        message = capsys.readouterr().err

        resumed = run_export(target, *self.COMMAND, "--resume")

        assert (interrupted, resumed) == (130, 0)
        assert "Interrupted" in message
        assert "same command with --resume" in message
        assert len(card(target, 1).training.epoch_accuracy) == 4
        whole = run_export(target, *self.COMMAND)
        assert whole == 0
        assert weights(target, 1) == weights(target, 2)

    @pytest.mark.usefixtures("_interruptible")
    def test_an_interruption_that_python_dropped_is_heard_at_the_next_step(self, run_export, target, monkeypatch):
        recipe = RECIPES["fashion-mlp"]
        monkeypatch.setitem(RECIPES, recipe.name, replace(recipe, augmentations=(press_ctrl_c_where_it_is_lost,)))

        status = run_export(target, *self.COMMAND)

        assert status == 130
        assert [path.name for path in target.iterdir()] == [".checkpoints"]

    def test_a_finished_training_is_exported_without_another_epoch(self, run_export, target, monkeypatch):
        recipe = RECIPES["fashion-mlp"]
        run_export(target, *self.COMMAND)
        before = weights(target, 1), card(target, 1).training
        (target / "fashion-mlp/1/model.onnx").write_bytes(b"damaged")
        monkeypatch.setitem(RECIPES, recipe.name, replace(recipe, augmentations=(Interruption(1),)))

        status = run_export(target, *self.COMMAND, "--resume")

        assert status == 0
        assert (weights(target, 2), card(target, 2).training) == before

    def test_what_was_published_is_not_published_again(self, run_export, target, monkeypatch, capsys):
        recipe = RECIPES["fashion-mlp"]
        run_export(target, *self.COMMAND)
        monkeypatch.setitem(RECIPES, recipe.name, replace(recipe, augmentations=(Interruption(1),)))

        status = run_export(target, *self.COMMAND, "--resume")

        assert status == 0
        assert f"Published already: {target / 'fashion-mlp' / '1'}" in capsys.readouterr().out
        assert not (target / "fashion-mlp/2").exists()

    def test_of_several_recipes_the_later_go_on_under_the_teacher_that_they_had(self, run_export, target):
        pair = ("cifar-net", "cifar-cnn", "--epochs", "1", "--limit", "100")
        assert run_export(target, *pair) == 0

        status = run_export(target, *pair, "--resume")

        assert status == 0
        assert sorted(path.name for path in target.glob("cifar-*/[0-9]*")) == ["1", "1"]

    def test_a_training_that_came_to_no_numbers_is_not_published(self, run_export, target, tmp_path, capsys):
        network = RECIPES["fashion-mlp"].network()
        state = {name: weights * 1e25 for name, weights in network.state_dict().items()}
        torch.save(state, tmp_path / "diverged.pt")

        status = run_export(target, "fashion-mlp", "--limit", "100", "--checkpoint", str(tmp_path / "diverged.pt"))

        assert status == 1
        assert "answers with what are no numbers: not published; try another seed" in capsys.readouterr().err
        assert not (target / "fashion-mlp").exists()

    def test_a_saved_training_that_lacks_something_is_refused(self, run_export, target, capsys):
        run_export(target, *self.COMMAND)
        file = target / ".checkpoints" / "fashion-mlp.pt"
        saved = torch.load(file)
        del saved["state"]["course"]["order"]
        torch.save(saved, file)

        status = run_export(target, *self.COMMAND, "--resume")

        assert status == 1
        assert f"{file}: cannot be gone on from ('order'); leave --resume out" in capsys.readouterr().err

    def test_a_damaged_file_is_refused(self, run_export, target, capsys):
        saved = put(target / ".checkpoints", {"fashion-mlp.pt": b"damaged"}) / "fashion-mlp.pt"

        status = run_export(target, *self.COMMAND, "--resume")

        message = capsys.readouterr().err
        assert status == 1
        assert f"training.export: {saved}: not a training that was saved here" in message
        assert "delete it and train anew" in message
        assert [path.name for path in target.iterdir()] == [".checkpoints"]

    def test_where_there_is_nothing_to_resume_it_says_so_and_begins(self, run_export, target, capsys):
        status = run_export(target, *self.COMMAND, "--resume")

        assert status == 0
        assert "fashion-mlp.pt: training from the beginning" in capsys.readouterr().out.replace("\n", "")
        assert (target / "fashion-mlp/1/model.onnx").is_file()


def card(models: Path, number: int) -> ModelCard:
    return Classifier.open(models / "fashion-mlp" / str(number) / "model.onnx").card


def weights(models: Path, number: int) -> dict[str, bytes]:
    """Return the bits of each weight of an exported network."""
    graph = onnx.load(models / "fashion-mlp" / str(number) / "model.onnx").graph
    return {tensor.name: onnx.numpy_helper.to_array(tensor).tobytes() for tensor in graph.initializer}


@pytest.fixture
def _interruptible() -> Iterator[None]:
    """Let a child process be interrupted even when this one was started in the background, which ignores Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interruptible")
def test_ctrl_c_in_mid_training_ends_cleanly_and_leaves_the_models_and_what_was_trained(data_dir, target):
    put(target / "fashion-mlp" / "1", {"model.onnx": b"there before"})
    saved = target / ".checkpoints" / "fashion-mlp.pt"
    arguments = ["fashion-mlp", "--epochs", "1000000", "--data-dir", str(data_dir), "--models-dir", str(target)]
    process = subprocess.Popen(
        [sys.executable, "-m", "training.export", *arguments],
        cwd=REPOSITORY,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            due = time.monotonic() + 120
            while not saved.exists() and time.monotonic() < due and process.poll() is None:
                time.sleep(0.01)

            process.send_signal(signal.SIGINT)

            _, message = process.communicate(timeout=60)
        finally:
            process.kill()

    assert process.returncode == 130
    assert "Interrupted" in message
    assert "Traceback" not in message
    assert list(tree(target / "fashion-mlp")) == ["1/model.onnx"]
    assert {path.name for path in target.iterdir()} == {"fashion-mlp", ".checkpoints"}
    epochs = torch.load(saved)["state"]["epochs"]
    assert [epoch["number"] for epoch in epochs] == list(range(1, len(epochs) + 1))
