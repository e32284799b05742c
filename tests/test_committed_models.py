"""The committed models keep the contract, in this service and in other engines."""

import math
import re

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from serving.classifier import Classifier
from serving.repository import Repository

PARAMETERS = {"fashion-mlp": 101_770, "cifar-cnn": 122_570}
FLOORS = {"fashion-mlp": 0.885, "cifar-cnn": 0.72}
MEGABYTE = 1_000_000


@pytest.fixture(params=PARAMETERS)
def name(request):
    return request.param


@pytest.fixture
def file(models, name):
    return models / name / "1/model.onnx"


def test_the_folder_holds_what_is_promised_and_nothing_else(models):
    for name in PARAMETERS:
        found = {str(path.relative_to(models / name)) for path in (models / name).rglob("*") if path.is_file()}
        assert found == {"README.md", "labels.txt", "config.pbtxt", "1/model.onnx", "1/curves.png"}


def test_the_repository_serves_it_without_a_complaint(models, name):
    model = Repository(models).models[name]

    assert model.classifier
    assert model.reason is None


def test_it_has_exactly_the_parameters_of_its_card(file, name):
    weights = [tensor for tensor in onnx.load(file).graph.initializer if tensor.name.startswith("network.")]

    assert sum(math.prod(tensor.dims) for tensor in weights) == PARAMETERS[name]
    assert Classifier.open(file).card.parameters == PARAMETERS[name]


def test_it_is_one_small_file_with_nothing_of_the_machine_that_made_it(file):
    content = file.read_bytes()

    assert len(content) < MEGABYTE
    assert not re.search(rb"site-packages|/home/|/root/|/work/|\.py\b", content)
    assert all(not tensor.external_data for tensor in onnx.load_model_from_string(content).graph.initializer)


def test_its_accuracy_is_above_the_floor(file, name):
    assert Classifier.open(file).card.metrics.accuracy >= FLOORS[name]


def test_the_reference_evaluator_gives_the_same_answers(file):
    classifier = Classifier.open(file)
    shape = (20, classifier.height, classifier.width, classifier.channels)
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)

    (expected,) = ReferenceEvaluator(onnx.load(file)).run(["probabilities"], {"image": pixels})

    assert np.abs(classifier.classify(pixels) - expected).max() <= 1e-4


def test_labels_and_triton_configuration_agree_with_the_card(models, file, name):
    classifier = Classifier.open(file)
    config = (models / name / "config.pbtxt").read_text()

    assert (models / name / "labels.txt").read_text().splitlines() == classifier.card.labels
    assert f'name: "{name}"' in config
    assert f"dims: [ {classifier.height}, {classifier.width}, {classifier.channels} ]" in config
    assert f"dims: [ {len(classifier.card.labels)} ]" in config
