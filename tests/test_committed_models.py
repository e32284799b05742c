"""The committed models keep the contract and the promises of the README."""

import math
import re
import shutil
import subprocess
from pathlib import Path

import onnx
import pytest
from msgspec import UNSET

from serving.model.classifier import Classifier
from serving.repository.repository import Repository

REPOSITORY = Path(__file__).parent.parent
PARAMETERS = {
    "fashion-mlp": 101_770,
    "cifar-cnn": 122_570,
    "fashion-net": 3_179_208,
    "cifar-net": 4_823_882,
    "router": 4_058_905,
}
ACCURACY_FLOORS = {"fashion-mlp": 0.9, "cifar-cnn": 0.85, "fashion-net": 0.953, "cifar-net": 0.957, "router": 0.65}
AUROC_FLOORS = {"fashion-mlp": 0.95, "cifar-cnn": 0.86, "fashion-net": 0.975, "cifar-net": 0.96}
MEGABYTE = 1_000_000
MAX_SIZES = {"fashion-mlp": 1, "cifar-cnn": 1, "fashion-net": 10, "cifar-net": 15, "router": 20}  # megabytes


@pytest.fixture(params=PARAMETERS)
def name(request):
    return request.param


@pytest.fixture
def file(all_models, name):
    return next((all_models / name).glob("*/model.onnx"))


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
def test_models_that_are_trained_here_stay_out_of_git_but_for_the_committed_ones(tmp_path):
    shutil.copy(REPOSITORY / ".gitignore", tmp_path)
    for name in ("kitchen", "kitchen-int8", ".checkpoints", "lecture-mlp", *PARAMETERS):
        (tmp_path / "models" / name / "9").mkdir(parents=True)
        (tmp_path / "models" / name / "9/model.onnx").touch()
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)

    status = ["git", "status", "--porcelain", "--untracked-files=all"]
    shown = subprocess.run(status, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    expected = {f"?? models/{name}/9/model.onnx" for name in PARAMETERS}
    assert set(shown.splitlines()) == {"?? .gitignore"} | expected


def test_the_folder_has_the_promised_files_and_no_others(all_models, name):
    folder = all_models / name
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}

    version = next((all_models / name).glob("*/model.onnx")).parent
    trained = Classifier.open(version / "model.onnx").card.training.epochs > 0
    pictures = {"confusion.png", *(["curves.png"] if trained else [])}
    assert found == {"README.md", "labels.txt", "config.pbtxt"} | {
        f"{version.name}/{file}" for file in ("model.onnx", *pictures)
    }


def test_the_repository_serves_it_without_a_fault(all_models, name):
    model = Repository(all_models).models[name]

    assert model.classifier
    assert model.reason is None


def test_its_card_has_the_number_of_parameters(file, name):
    assert Classifier.open(file).card.parameters == PARAMETERS[name]


@pytest.mark.parametrize("name", ["fashion-mlp", "cifar-cnn"])
def test_the_graph_of_a_light_network_has_exactly_its_parameters(all_models, name):
    graph = onnx.load(next((all_models / name).glob("*/model.onnx"))).graph

    weights = [tensor for tensor in graph.initializer if tensor.name.startswith("network.")]

    assert sum(math.prod(tensor.dims) for tensor in weights) == PARAMETERS[name]


def test_it_is_one_small_file_without_paths_of_the_exporting_machine(file, name):
    graph = onnx.load(file, load_external_data=False)

    assert file.stat().st_size < MAX_SIZES[name] * MEGABYTE
    assert all(not tensor.external_data for tensor in graph.graph.initializer)
    for tensor in graph.graph.initializer:
        tensor.ClearField("raw_data")  # millions of weights contain any three letters
    content = graph.SerializeToString()
    assert not re.search(rb"site-packages|/home/|/root/|\.py\b", content)
    assert str(REPOSITORY).encode() not in content


def test_its_card_has_the_licence_of_weights_that_others_learned(file):
    card = Classifier.open(file).card

    assert ("Apache 2.0" in card.licence) is ("pretrained" in card.network)


def test_its_accuracy_is_above_the_floor(file, name):
    assert Classifier.open(file).card.metrics.accuracy >= ACCURACY_FLOORS[name]


def test_its_probabilities_are_calibrated(file):
    metrics = Classifier.open(file).card.metrics

    assert metrics.ece <= 0.015
    assert metrics.ece < metrics.ece_uncalibrated


def test_its_label_sets_have_the_promised_coverage(file, name):
    card = Classifier.open(file).card

    assert card.conformal.coverage == 0.95
    assert 0.94 <= card.metrics.set_coverage <= max(0.97, card.metrics.accuracy)  # empty sets get a label
    assert card.metrics.set_size < (1.8 if name == "router" else 1.6)
    assert [level.coverage for level in card.conformal.levels] == [percent / 100 for percent in range(80, 100)]


@pytest.mark.parametrize("name", AUROC_FLOORS, indirect=True)
def test_it_detects_out_of_distribution_images_of_every_kind(file, name):
    novelty = Classifier.open(file).card.novelty

    assert len(novelty.auroc) == 4
    assert min(novelty.auroc.values()) >= AUROC_FLOORS[name]
    knows_photos = name in ("fashion-net", "cifar-net")  # photos set its threshold
    assert (0.01 if knows_photos else 0.04) <= novelty.share <= (0.08 if knows_photos else 0.06)


def test_it_loses_little_accuracy_on_photos(file):
    card = Classifier.open(file).card

    max_loss = 0.08 if card.name == "router" else {"garment": 0.02, "photo": 0.03}[card.fit]
    assert card.photos.n == 2_000
    assert card.photos.accuracy >= card.photos.untouched - max_loss


def test_its_golden_samples_record_novelty_too_where_it_has_that(file, name):
    assert {golden.novelty is UNSET for golden in Classifier.open(file).card.golden} == {name == "router"}
