"""The pipeline from a recipe to a calibrated model: with a seed, with a teacher, and resumed after an interruption."""

import hashlib
import io
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
import torch
from lookalikes import put
from rich.console import Console
from torch import Tensor, nn

from serving.model.card import ModelCard
from serving.model.classifier import Classifier
from training.augment import random_shift
from training.calibrated_model import CalibratedModel, calibrate
from training.export_options import chosen, export_parser
from training.networks.base import INFERENCE_BATCH, Features, Network
from training.networks.mlp import MLP
from training.pipeline import load_trained, train
from training.recipe import Recipe
from training.recipes import RECIPES
from training.train.checkpoint import CheckpointError
from training.train.trained_network import TrainedNetwork
from training.train.trainer import RunContext

REPOSITORY = Path(__file__).parents[2]
QUICK = ("--limit", "100", "--epochs", "4")  # 90 images to train on: for most recipes one batch an epoch

pytestmark = pytest.mark.trains


def tree(folder: Path) -> dict[str, str]:
    """Return the digest of each file in a folder."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A folder of models that does not exist yet."""
    return tmp_path / "models"


@pytest.fixture
def run(data_dir: Path, target: Path) -> Callable[..., CalibratedModel]:
    """Do all that a command line asks for, except the export."""

    def run(*command: str, console: Console | None = None) -> CalibratedModel:
        options = export_parser().parse_args(command)
        (recipe,) = chosen(options, "cpu")
        data = recipe.source.load(data_dir, options.limit)
        context = RunContext(resume=options.resume)
        return calibrate(recipe, data, train(recipe, data, context, target, console or Console(quiet=True)))

    return run


def assert_same(one: CalibratedModel, other: CalibratedModel) -> None:
    """Assert that two models have the same weights and temperature, to the last bit."""
    states = [model.trained.network.state_dict() for model in (one, other)]
    assert [name for name in states[0] if not torch.equal(states[0][name], states[1][name])] == []
    assert one.temperature == other.temperature


@pytest.mark.parametrize("name", ["fashion-mlp", "cifar-cnn"])
def test_as_many_photos_of_known_images_are_novel_as_the_recipe_says(data_dir: Path, name: str):
    recipe = replace(RECIPES[name], flagged_photos=0.4)
    data = recipe.source.load(data_dir, 200)
    network = TrainedNetwork.of(recipe, recipe.normalize(data.train.pixels), recipe.network(), ())

    model = calibrate(recipe, data, network)

    assert model.photos is not None
    novelty = model.predict(model.photos.numpy()).novelty
    assert novelty is not None
    assert len(novelty) == len(model.split[1])
    assert (novelty > 0.5).mean() == pytest.approx(0.4, abs=0.06)


def test_a_recipe_without_novelty_gives_probabilities_alone(garments):
    recipe = replace(RECIPES["lecture-mlp"], novelty=False, validation_images=5)
    data = replace(garments, train=garments.train.take(slice(50)))
    network = TrainedNetwork.of(recipe, recipe.normalize(data.train.pixels), recipe.network(), ())

    outputs = calibrate(recipe, data, network).predict(data.test.pixels.numpy())

    assert outputs.novelty is None
    assert outputs.probabilities.shape == (len(data.test), 10)


def test_a_network_that_is_named_after_a_file_is_shown_with_its_brackets(garments, tmp_path):
    def network() -> Network:
        named = MLP()
        named.title = "mobilenet[v2], without its last layer"
        return named

    recipe, shown = replace(RECIPES["lecture-mlp"], network=network, frozen=True), io.StringIO()
    with pytest.raises(CheckpointError, match="no such file"):
        load_trained(recipe, garments, tmp_path / "missing.pt", Console(file=shown))

    assert shown.getvalue() == "mobilenet[v2], without its last layer: 101,770 parameters\n"


def test_no_more_images_at_once_go_through_a_network_than_fit_into_memory(garments):
    seen: list[int] = []

    class Watched(MLP):
        def forward_features(self, images: Tensor) -> Features:
            seen.append(len(images))
            return super().forward_features(images)

    recipe = replace(RECIPES["lecture-mlp"], network=Watched, validation_images=5)
    data = replace(garments, train=garments.train.take(slice(250)))
    trained = TrainedNetwork.of(recipe, recipe.normalize(data.train.pixels), recipe.network(), ())

    outputs = calibrate(recipe, data, trained).predict(data.test.pixels.numpy())

    assert max(seen) == INFERENCE_BATCH
    assert len(outputs.probabilities) == len(outputs.novelty) == len(data.test) > INFERENCE_BATCH


def last_weights(model: CalibratedModel) -> Tensor:
    weights: Tensor = model.trained.network[-1].weight
    return weights


@pytest.mark.parametrize("name", ["fashion-mlp", "lecture-cnn-fast"])
def test_a_seed_gives_the_same_weights_each_time_and_another_seed_others(run, name):
    first, again, other = (run(name, *QUICK, "--seed", seed) for seed in ("7", "7", "8"))

    assert_same(first, again)
    assert not torch.equal(last_weights(first), last_weights(other))


def test_a_training_that_diverged_is_not_published(run_export, target, tmp_path, capsys):
    network = RECIPES["fashion-mlp"].network()
    state = {name: weights * 1e25 for name, weights in network.state_dict().items()}
    torch.save(state, tmp_path / "diverged.pt")

    status = run_export(target, "fashion-mlp", "--limit", "100", "--checkpoint", str(tmp_path / "diverged.pt"))

    assert status == 1
    assert "training fashion-mlp diverged: its logits are NaN or infinite: not published; try another seed" in (
        capsys.readouterr().err
    )
    assert not (target / "fashion-mlp").exists()


class TestTeacher:
    COMMAND = ("lecture-mlp", *QUICK)

    @pytest.fixture(autouse=True)
    def _teacher(self, models: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Give the recipe a teacher that exists."""
        shutil.copytree(models / "fashion-mlp", target / "wise")
        monkeypatch.setitem(RECIPES, "lecture-mlp", replace(RECIPES["lecture-mlp"], teachers=("wise",)))

    def test_its_probabilities_decide_the_weights(self, run, monkeypatch):
        taught = run(*self.COMMAND)
        monkeypatch.setitem(RECIPES, "lecture-mlp", replace(RECIPES["lecture-mlp"], teachers=()))

        alone = run(*self.COMMAND)

        assert not torch.equal(last_weights(taught), last_weights(alone))

    def test_its_file_is_printed(self, run, target, capfd):
        run(*self.COMMAND)

        assert f"Running the teacher {target / 'wise' / '2' / 'model.onnx'}\n" in capfd.readouterr().err

    def test_a_training_under_another_version_is_not_resumed(self, run, target):
        run(*self.COMMAND)
        shutil.copytree(target / "wise" / "2", target / "wise" / "3")

        with pytest.raises(CheckpointError, match="teachers wise:2, not wise:3"):
            run(*self.COMMAND, "--resume")

    def test_an_interrupted_training_is_resumed_under_it(self, run, monkeypatch):
        interrupt(run, monkeypatch, *self.COMMAND)

        resumed = run(*self.COMMAND, "--resume")

        assert_same(resumed, run(*self.COMMAND))


def press_ctrl_c_and_lose_it(images: Tensor, generator: torch.Generator) -> Tensor:
    """Be an augmentation that changes nothing, and drops a KeyboardInterrupt as Python does in finalizers."""
    with suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    return images


def interrupted_at(recipe: Recipe, call: int) -> Recipe:
    """Return the recipe with networks of which this call in training, counted over all, raises KeyboardInterrupt."""
    calls = count(1)

    def interrupt(network: nn.Module, images: tuple[Tensor, ...]) -> None:
        if network.training and next(calls) == call:
            raise KeyboardInterrupt

    def network() -> Network:
        built = recipe.network()
        built.register_forward_pre_hook(interrupt)
        return built

    return replace(recipe, network=network)


def interrupt(run: Callable[..., object], monkeypatch: pytest.MonkeyPatch, *command: str) -> None:
    """Run a command until it is interrupted in its third epoch."""
    recipe = RECIPES[command[0]]
    batches = -(-90 // recipe.batch)
    with monkeypatch.context() as patch:
        patch.setitem(RECIPES, recipe.name, interrupted_at(recipe, 2 * batches + 1))
        with pytest.raises(KeyboardInterrupt):
            run(*command)


class TestResume:
    COMMAND = ("fashion-mlp", *QUICK)

    @pytest.fixture
    def interrupted(self, run: Callable[..., CalibratedModel], target: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """The folder of models, after a training was interrupted in its third epoch."""
        interrupt(run, monkeypatch, *self.COMMAND)
        return target

    @pytest.mark.usefixtures("interrupted")
    def test_a_resumed_training_ends_as_an_uninterrupted_one(self, run):
        resumed = run(*self.COMMAND, "--resume")

        whole = run(*self.COMMAND)
        assert_same(resumed, whole)
        assert [epoch.loss for epoch in resumed.trained.epochs] == [epoch.loss for epoch in whole.trained.epochs]

    @pytest.mark.usefixtures("interrupted")
    def test_without_it_the_training_starts_anew(self, run):
        anew = run(*self.COMMAND)

        assert [epoch.number for epoch in anew.trained.epochs] == [1, 2, 3, 4]
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

    @pytest.mark.usefixtures("interrupted")
    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"augmentations": (random_shift,)}, "augmentations , not random_shift"),
            ({"network": lambda: MLP(dropout=0.3)}, "layers [0-9a-f]+, not [0-9a-f]+"),
        ],
    )
    def test_the_training_of_a_recipe_before_it_was_edited_is_refused(self, run, monkeypatch, changes, reason):
        monkeypatch.setitem(RECIPES, "fashion-mlp", replace(RECIPES["fashion-mlp"], **changes))

        with pytest.raises(CheckpointError, match=rf"fashion-mlp\.pt: saved by another training: {reason}; leave"):
            run(*self.COMMAND, "--resume")

    def test_the_training_on_another_device_or_in_more_processes_is_refused(self, run, interrupted):
        file = interrupted / ".checkpoints" / "fashion-mlp.pt"
        saved = torch.load(file)
        saved["identity"] |= {"processes": 2, "device": "cuda"}
        torch.save(saved, file)

        reason = "saved by another training: processes 2, not 1; device cuda, not cpu; leave"
        with pytest.raises(CheckpointError, match=reason):
            run(*self.COMMAND, "--resume")

    def test_the_training_of_another_recipe_stays_as_it_is(self, run, interrupted):
        before = tree(interrupted)

        run("lecture-mlp", *QUICK)

        assert before.items() < tree(interrupted).items()

    def test_a_saved_training_that_lacks_something_is_refused(self, run, interrupted):
        file = interrupted / ".checkpoints" / "fashion-mlp.pt"
        saved = torch.load(file)
        del saved["state"]["trainer"]["order"]
        torch.save(saved, file)

        with pytest.raises(CheckpointError) as refusal:
            run(*self.COMMAND, "--resume")

        assert str(refusal.value) == f"{file}: cannot be resumed ('order'); leave --resume out"

    def test_a_resumed_budget_keeps_its_epochs_and_must_be_the_same_budget(self, run):
        budget = ("fashion-mlp", "--limit", "100", "--minutes")
        spent = run(*budget, "0.01")

        resumed = run(*budget, "0.01", "--resume")

        assert resumed.trained.epochs[: len(spent.trained.epochs)] == spent.trained.epochs
        with pytest.raises(CheckpointError, match=r"minutes 0\.01, not 0\.02"):
            run(*budget, "0.02", "--resume")

    def test_without_a_saved_training_it_says_so_and_starts(self, run):
        console = Console(width=80)

        with console.capture() as capture:
            model = run(*self.COMMAND, "--resume", console=console)

        assert "fashion-mlp.pt: training from the start" in capture.get().replace("\n", "")
        assert [epoch.number for epoch in model.trained.epochs] == [1, 2, 3, 4]


@pytest.fixture(scope="module")
def published(run_export: Callable[..., int], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of models after an export: only to be copied."""
    models = tmp_path_factory.mktemp("published") / "models"
    assert run_export(models, *TestCommand.COMMAND) == 0
    return models


class TestCommand:
    """python -m training.export with --resume."""

    COMMAND = ("fashion-mlp", *QUICK)

    @pytest.fixture
    def _no_more_training(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Interrupt the first step of any further training."""
        recipe = RECIPES["fashion-mlp"]
        monkeypatch.setitem(RECIPES, recipe.name, interrupted_at(recipe, 1))

    def test_an_interrupted_training_is_resumed_and_exported(self, run, run_export, target, monkeypatch, capsys):
        recipe = RECIPES["fashion-mlp"]
        with monkeypatch.context() as patch:
            patch.setitem(RECIPES, recipe.name, interrupted_at(recipe, 3))
            interrupted = run_export(target, *self.COMMAND)
        message = capsys.readouterr().err

        resumed = run_export(target, *self.COMMAND, "--resume")

        assert (interrupted, resumed) == (130, 0)
        assert "Interrupted" in message
        assert "command with --resume" in message
        whole = run(*self.COMMAND)
        exported = Classifier.open(target / "fashion-mlp/1/model.onnx")
        assert exported.card.training.epoch_accuracy == [round(epoch.val_accuracy, 4) for epoch in whole.trained.epochs]
        pixels = whole.data.test.pixels.numpy()
        assert max(exported.run(pixels).differences(whole.predict(pixels))) <= 1e-4

    @pytest.mark.usefixtures("_interruptible")
    def test_an_interruption_that_python_dropped_takes_effect_at_the_next_step(self, run_export, target, monkeypatch):
        recipe = RECIPES["fashion-mlp"]
        monkeypatch.setitem(RECIPES, recipe.name, replace(recipe, augmentations=(press_ctrl_c_and_lose_it,)))

        status = run_export(target, *self.COMMAND)

        assert status == 130
        assert [path.name for path in target.iterdir()] == [".checkpoints"]

    @pytest.mark.usefixtures("_no_more_training")
    def test_a_finished_training_is_exported_without_another_epoch(self, published, run_export, target):
        shutil.copytree(published, target)
        (target / "fashion-mlp/1/model.onnx").write_bytes(b"damaged")

        status = run_export(target, *self.COMMAND, "--resume")

        assert status == 0
        exported, before = card(target, 2), card(published, 1)
        assert exported.training == before.training
        assert (exported.metrics, exported.golden) == (before.metrics, before.golden)

    @pytest.mark.usefixtures("_no_more_training")
    def test_a_published_model_is_not_published_again(self, published, run_export, target, capsys):
        shutil.copytree(published, target)

        status = run_export(target, *self.COMMAND, "--resume")

        assert status == 0
        assert f"Published already: {target / 'fashion-mlp' / '1'}" in capsys.readouterr().out
        assert not (target / "fashion-mlp/2").exists()

    def test_a_later_recipe_is_resumed_under_the_teacher_that_it_had(self, run_export, target, monkeypatch):
        monkeypatch.setitem(RECIPES, "lecture-mlp", replace(RECIPES["lecture-mlp"], teachers=("fashion-mlp",)))
        pair = ("fashion-mlp", "lecture-mlp", "--epochs", "1", "--limit", "100")
        assert run_export(target, *pair) == 0

        status = run_export(target, *pair, "--resume")

        assert status == 0
        assert sorted(path.name for path in target.glob("*-mlp/[0-9]*")) == ["1", "1"]

    def test_a_damaged_file_is_refused(self, run_export, target, capsys):
        saved = put(target / ".checkpoints", {"fashion-mlp.pt": b"damaged"}) / "fashion-mlp.pt"

        status = run_export(target, *self.COMMAND, "--resume")

        message = capsys.readouterr().err
        assert status == 1
        assert f"training.export: {saved}: not a training saved by training.export" in message
        assert "delete it and train anew" in message
        assert [path.name for path in target.iterdir()] == [".checkpoints"]


def card(models: Path, number: int) -> ModelCard:
    return Classifier.open(models / "fashion-mlp" / str(number) / "model.onnx").card


@pytest.fixture
def _interruptible() -> Iterator[None]:
    """Let a child process be interrupted even if this one was started in the background, which ignores Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interruptible")
def test_ctrl_c_in_mid_training_ends_cleanly_and_leaves_the_models_and_the_finished_epochs(data_dir, target):
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
            deadline = time.monotonic() + 120
            while not saved.exists() and time.monotonic() < deadline and process.poll() is None:
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
