import logging
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator
from torch import nn

from serving.repository.repository import Repository
from training.datasets import FASHION_MNIST
from training.datasets.images import DataSet, Images
from training.folder.golden import golden_images
from training.graph import quantise, run, to_onnx, with_metadata
from training.graph.quantise import Measured, comparison, measure, objections
from training.networks import MLP, BatchNorm, Mirrored, Network
from training.networks.normalisation import Normalise
from training.networks.served import Served

SHARPNESS = 0.05  # a temperature that makes the answers of untrained networks differ from each other

FILES = {"README.md", "labels.txt", "config.pbtxt", "1/model.onnx", "1/curves.png", "1/confusion.png"}


def mirrored() -> nn.Module:
    """Return a small network that is in its graph twice, with a batch norm that can be folded."""
    convolutions = nn.Conv2d(1, 16, 3), BatchNorm(16), nn.GELU(), nn.Conv2d(16, 32, 3), BatchNorm(32), nn.GELU()
    network = Network(*convolutions, nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(32, 10))
    with torch.inference_mode():
        network.train()(torch.randn(64, 1, 28, 28))  # so that the batch norms are not the identity
    return Mirrored(network)


@dataclass(frozen=True)
class Pair:
    """A graph, its int8 version and the network behind both."""

    network: nn.Module
    original: onnx.ModelProto
    int8: onnx.ModelProto


@pytest.fixture(scope="module", params=[MLP, mirrored], ids=["mlp", "mirrored"])
def pair(request: pytest.FixtureRequest, garments: DataSet) -> Pair:
    torch.manual_seed(0)
    network = request.param()
    served = Served(Normalise.to_standard(garments.train.pixels), network, SHARPNESS).eval()
    original = to_onnx(served, 28, 28, 1)
    return Pair(network, original, quantise.quantise(original, garments.train.pixels.numpy()))


@pytest.fixture(scope="module")
def pixels(garments: DataSet) -> NDArray[np.uint8]:
    """Images that nothing was calibrated on."""
    return garments.test.pixels.numpy()


def int8_weights(graph: onnx.ModelProto) -> list[NDArray[np.int8]]:
    weights = [onnx.numpy_helper.to_array(weight) for weight in graph.graph.initializer]
    return [weight for weight in weights if weight.dtype == np.int8 and weight.ndim > 1]


class TestQuantised:
    def test_it_answers_nearly_as_the_original(self, pair, pixels):
        expected, answered = (run(graph, pixels).probabilities for graph in (pair.original, pair.int8))

        assert expected.max(1).mean() > 0.3
        assert np.abs(answered - expected).mean() < 0.01
        assert (answered.argmax(1) == expected.argmax(1)).mean() > 0.9

    def test_it_is_written_with_quantise_and_dequantise_nodes(self, pair):
        kinds = {node.op_type for node in pair.int8.graph.node}

        assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
        assert kinds & {"Conv", "Gemm"}

    def test_its_weights_have_7_bits_so_that_no_processor_overflows(self, pair):
        largest = [int(np.abs(weight.astype(int)).max()) for weight in int8_weights(pair.int8)]

        assert largest
        assert max(largest) <= 64

    def test_it_holds_each_weight_once_even_where_the_network_is_in_the_graph_twice(self, pair):
        matrices = [weight.numel() for weight in pair.network.parameters() if weight.ndim > 1]

        assert sorted(weight.size for weight in int8_weights(pair.int8)) == sorted(matrices)

    def test_other_runtimes_give_nearly_the_same_answers(self, pair, pixels):
        (answered,) = ReferenceEvaluator(pair.int8).run(None, {"image": pixels[:5]})

        assert np.abs(answered - run(pair.int8, pixels[:5]).probabilities).max() < 0.05

    def test_an_image_is_answered_alike_in_any_batch(self, pair, pixels):
        assert max(run(pair.int8, pixels[:7], batch=1).differences(run(pair.int8, pixels[:7]))) <= 1e-6

    def test_it_is_a_sound_graph_that_says_nothing_of_the_tools(self, pair):
        file = with_metadata(pair.int8, {})

        graph = onnx.load_from_string(file)
        assert [(opset.domain, opset.version) for opset in graph.opset_import] == [("", 20)]
        assert (graph.producer_name, graph.producer_version) == ("thimble", "")
        assert not graph.metadata_props
        assert tempfile.gettempdir().encode() not in file


@pytest.fixture
def _own_temporary_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield
    assert list(folder.iterdir()) == []


@pytest.mark.usefixtures("_own_temporary_folder")
def test_quantising_is_quiet_and_leaves_nothing_behind(pair, pixels, monkeypatch, tmp_path, capfd):
    monkeypatch.chdir(tmp_path)
    before, root = pair.original.SerializeToString(), logging.getLogger()
    handlers, level = list(root.handlers), root.level

    quantise.quantise(pair.original, pixels[:20])

    assert capfd.readouterr() == ("", "")
    assert (root.handlers, root.level) == (handlers, level)
    assert pair.original.SerializeToString() == before
    assert [path.name for path in tmp_path.iterdir()] == ["temporary"]


def test_measuring_gives_size_time_and_right_answers_of_each_graph(pair, garments, monkeypatch):
    monkeypatch.setattr(quantise, "REPETITIONS", 5)
    right = run(pair.original, garments.test.pixels.numpy()).probabilities.argmax(1)
    held = Images(garments.test.pixels, torch.from_numpy(right))

    before, after = measure((pair.original, pair.int8), held)

    assert before.size == len(pair.original.SerializeToString()) > after.size
    assert before.right == before.n == after.n == len(held)
    assert 0.9 * len(held) < after.right <= len(held)
    assert min(before.ms, after.ms) > 0


BEFORE = Measured(size=1_000, ms=6.0, right=900, n=1_000)
AT_THE_LIMITS = Measured(size=999, ms=5.0, right=897, n=1_000)


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({}, []),
        ({"size": 1_000}, ["it is not smaller"]),
        ({"ms": 5.01}, ["it is 1.198 times as fast, at least 1.2 is asked for"]),
        ({"right": 896}, ["it loses 0.400 points of accuracy, at most 0.3 are allowed"]),
        ({"right": 950}, []),
        (
            {"size": 2_000, "ms": 12.0, "right": 500},
            [
                "it is not smaller",
                "it is 0.500 times as fast, at least 1.2 is asked for",
                "it loses 40.000 points of accuracy, at most 0.3 are allowed",
            ],
        ),
    ],
)
def test_int8_is_worth_keeping_up_to_the_limits_and_no_further(changes, reasons):
    assert objections(BEFORE, replace(AT_THE_LIMITS, **changes)) == reasons


def test_the_comparison_gives_each_figure_beside_the_originals():
    before, after = Measured(7_916_000, 4.0124, 4_669, 5_000), Measured(2_031_000, 1.7273, 4_661, 5_000)

    assert comparison(before, after) == (
        "int8, on one thread and 5,000 held-out images: 2.03 MB instead of 7.92, 1.727 ms an image instead of 4.012, "
        "accuracy 0.9322 instead of 0.9338"
    )


@dataclass(frozen=True)
class Outcome:
    """What training.export --int8 wrote and said."""

    status: int
    models: Path
    said: str


@pytest.fixture
def export_int8(
    run_export: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> Callable[[float], Outcome]:
    """Run the command with int8 asked to be that many times as fast, whatever it loses of accuracy."""

    def export(speedup: float) -> Outcome:
        monkeypatch.setattr(quantise, "SMALLEST_SPEEDUP", speedup)
        monkeypatch.setattr(quantise, "MOST_LOST", 1_000)
        models = tmp_path / "models"
        status = run_export(models, "lecture-mlp", "--limit", "100", "--epochs", "1", "--int8")
        return Outcome(status, models, " ".join(capsys.readouterr().out.split()))

    return export


def test_int8_that_pays_is_published_and_served_as_a_model_of_its_own(export_int8):
    outcome = export_int8(0.0)

    folder, repository = outcome.models / "lecture-mlp-int8", Repository(outcome.models)
    original, int8 = repository.named("lecture-mlp").card, repository.named("lecture-mlp-int8").card
    assert outcome.status == 0
    assert "int8, on one thread and 10 held-out images: 0.25 MB instead of 0.55" in outcome.said
    assert "Not kept" not in outcome.said
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == FILES
    assert 'name: "lecture-mlp-int8"' in (folder / "config.pbtxt").read_text()
    assert (original.network, int8.network) == ("mlp 784-128-10", "mlp 784-128-10 int8")
    assert (int8.parameters, int8.training, int8.labels) == (original.parameters, original.training, original.labels)


def test_the_card_of_int8_has_the_answers_and_the_test_figures_of_its_own_graph(export_int8, data_dir):
    repository = Repository(export_int8(0.0).models)
    test = FASHION_MNIST.load(data_dir, limit=100).test

    original, int8 = repository.named("lecture-mlp"), repository.named("lecture-mlp-int8")

    expected = np.array([golden.probabilities for golden in int8.card.golden], np.float32)
    assert np.allclose(int8.classify(golden_images(28, 28, 1)), expected, atol=1e-6)
    assert [golden.probabilities for golden in original.card.golden] != expected.tolist()
    right = int8.classify(test.pixels.numpy()).argmax(1) == test.labels.numpy()
    assert (int8.card.metrics.accuracy, int8.card.metrics.n) == (right.mean(), 100)


def test_int8_that_does_not_pay_is_not_kept_and_the_reason_is_said(export_int8):
    outcome = export_int8(1e9)

    assert outcome.status == 0
    assert "int8, on one thread and 10 held-out images: 0.25 MB instead of 0.55" in outcome.said
    assert "times as fast, at least 1e+09 is asked for" in outcome.said
    assert [path.name for path in outcome.models.iterdir() if not path.name.startswith(".")] == ["lecture-mlp"]
    assert Repository(outcome.models).named("lecture-mlp").card.version == "1"
