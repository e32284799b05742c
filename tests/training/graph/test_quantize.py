import io
import logging
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from msgspec import UNSET
from msgspec.structs import replace as replace_struct
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator
from rich.console import Console
from torch import Tensor, nn

from serving.repository.repository import Repository
from training import export
from training.calibrated_model import calibrate
from training.datasets.builtin import FASHION_MNIST
from training.datasets.labelled import LabelledImages, TrainTest
from training.graph.measurement import Int8Limits, Measurement, comparison, measure, objections
from training.graph.onnx_export import run, to_onnx, with_metadata, without_novelty
from training.graph.quantize import QUANTIZATION, quantize
from training.networks.base import Mirrored, Network
from training.networks.exported import ExportedModel
from training.networks.mlp import MLP
from training.networks.net import BatchNorm
from training.networks.normalize import Normalize
from training.networks.novelty import NoveltyScore, Sample
from training.pipeline import train
from training.publish.card import is_card_of
from training.publish.golden import golden_images
from training.publish.publisher import Publisher
from training.publish.verification import ExportError
from training.recipes import RECIPES
from training.sample_sizes import SampleSizes
from training.train.trainer import RunContext

SHARPNESS = 0.05  # a temperature at which the probabilities of untrained networks differ from each other

pytestmark = pytest.mark.trains

FILES = {"README.md", "labels.txt", "config.pbtxt", "1/model.onnx", "1/curves.png", "1/confusion.png"}


def mirrored() -> nn.Module:
    """Return a small network that occurs twice in its graph, with a batch norm that can be folded."""
    convolutions = nn.Conv2d(1, 16, 3), BatchNorm(16), nn.GELU(), nn.Conv2d(16, 48, 3), BatchNorm(48), nn.GELU()
    network = Network(*convolutions, nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(48, 10))
    with torch.inference_mode():
        network.train()(torch.randn(64, 1, 28, 28))  # which makes the batch norms differ from the identity
    return Mirrored(network)


@dataclass(frozen=True)
class Pair:
    """A graph, its int8 version and the network behind both."""

    network: nn.Module
    original: onnx.ModelProto
    int8: onnx.ModelProto


@pytest.fixture(scope="module", params=[MLP, mirrored], ids=["mlp", "mirrored"])
def pair(request: pytest.FixtureRequest, garments: TrainTest) -> Pair:
    torch.manual_seed(0)
    network = request.param()
    model = ExportedModel(Normalize.to_standard(garments.train.pixels), network, SHARPNESS).eval()
    original = to_onnx(model, 28, 28, 1)
    return Pair(network, original, quantize(original, garments.train.pixels.numpy()))


@pytest.fixture(scope="module")
def pixels(garments: TrainTest) -> NDArray[np.uint8]:
    """Images that had no part in the calibration."""
    return garments.test.pixels.numpy()


def int8_weights(graph: onnx.ModelProto) -> list[NDArray[np.int8]]:
    weights = [onnx.numpy_helper.to_array(weight) for weight in graph.graph.initializer]
    return [weight for weight in weights if weight.dtype == np.int8 and weight.ndim > 1]


class TestQuantized:
    def test_its_outputs_are_nearly_those_of_the_original(self, pair, pixels):
        expected, found = (run(graph, pixels).probabilities for graph in (pair.original, pair.int8))

        assert expected.max(1).mean() > 0.3
        assert np.abs(found - expected).mean() < 0.01
        assert (found.argmax(1) == expected.argmax(1)).mean() > 0.9

    def test_it_is_written_with_quantize_and_dequantize_nodes(self, pair):
        kinds = {node.op_type for node in pair.int8.graph.node}

        assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
        assert kinds & {"Conv", "Gemm"}

    def test_its_weights_have_7_bits_so_that_no_processor_overflows(self, pair):
        largest = [int(np.abs(weight.astype(int)).max()) for weight in int8_weights(pair.int8)]

        assert largest
        assert max(largest) <= 64

    def test_it_holds_each_weight_once_even_if_the_network_occurs_twice(self, pair):
        matrices = [weight.numel() for weight in pair.network.parameters() if weight.ndim > 1]

        assert sorted(weight.size for weight in int8_weights(pair.int8)) == sorted(matrices)

    def test_other_runtimes_give_nearly_the_same_outputs(self, pair, pixels):
        (found,) = ReferenceEvaluator(pair.int8).run(None, {"image": pixels[:5]})

        assert np.abs(found - run(pair.int8, pixels[:5]).probabilities).max() < 0.05

    def test_an_image_has_the_same_outputs_in_any_batch(self, pair, pixels):
        assert max(run(pair.int8, pixels[:7], batch=1).differences(run(pair.int8, pixels[:7]))) <= 1e-6

    def test_it_is_a_valid_graph_that_does_not_mention_the_tools(self, pair):
        file = with_metadata(pair.int8, {})

        graph = onnx.load_from_string(file)
        assert [(opset.domain, opset.version) for opset in graph.opset_import] == [("", 20)]
        assert (graph.producer_name, graph.producer_version) == ("thimble", "")
        assert not graph.metadata_props
        assert tempfile.gettempdir().encode() not in file


@pytest.mark.parametrize("activation", [nn.ReLU, nn.ReLU6])
def test_what_an_activation_cuts_off_does_not_make_the_steps_of_its_layer_coarser(activation, garments, pixels):
    torch.manual_seed(0)
    first = nn.Conv2d(1, 48, 3)
    with torch.no_grad():
        first.weight[24:] = -30 * first.weight[24:].abs()  # far below zero wherever there is a garment
    layers = first, activation(), nn.Conv2d(48, 32, 3), activation(), nn.AdaptiveMaxPool2d(1), nn.Flatten()
    network = Network(*layers, nn.Linear(32, 10))
    original = to_onnx(ExportedModel(Normalize.to_unit(garments.train.pixels), network, SHARPNESS).eval(), 28, 28, 1)

    int8 = quantize(original, garments.train.pixels.numpy())

    expected, found = (run(graph, pixels).probabilities for graph in (original, int8))
    assert np.abs(found - expected).mean() < 0.004


def conv(channels: int, outputs: int, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, outputs, 3, groups=groups)


@pytest.mark.parametrize(
    ("convolutions", "kept"),
    [
        ([conv(1, 8), conv(8, 8, 8), conv(8, 1024)], 2),
        ([conv(1, 16), conv(16, 16), conv(16, 16)], 0),
        ([conv(1, 8), conv(8, 256), conv(256, 256, 256)], 1),  # not only those of few weights, wherever they stand
    ],
)
def test_the_first_convolutions_stay_float32_as_long_as_they_have_few_of_the_weights(convolutions, kept, garments):
    layers = [layer for each in convolutions for layer in (each, nn.ReLU())]
    head = nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(convolutions[-1].out_channels, 10)
    network = Network(*layers, *head)
    original = to_onnx(ExportedModel(Normalize.to_unit(garments.train.pixels), network, SHARPNESS).eval(), 28, 28, 1)

    int8 = quantize(original, garments.train.pixels[:5].numpy())

    floats = {weight.name for weight in int8.graph.initializer if weight.data_type == onnx.TensorProto.FLOAT}
    nodes = [node for node in int8.graph.node if node.op_type == "Conv"]
    assert [node.input[1] in floats for node in nodes] == [number < kept for number in range(len(convolutions))]


def without_names(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy whose nodes have no names, which another's graph need not have."""
    copy = onnx.ModelProto.FromString(graph.SerializeToString())
    for node in copy.graph.node:
        node.name = ""
    return copy


def test_a_graph_whose_nodes_have_no_names_is_quantized_as_one_whose_nodes_have(garments, pixels):
    layers = conv(1, 8), nn.ReLU(), conv(8, 1024), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(1024, 10)
    network, normalize = Network(*layers), Normalize.to_unit(garments.train.pixels)
    original = to_onnx(ExportedModel(normalize, network, SHARPNESS).eval(), 28, 28, 1)

    named, unnamed = (
        quantize(graph, garments.train.pixels[:5].numpy()) for graph in (original, without_names(original))
    )

    assert len(int8_weights(named)) == len(int8_weights(unnamed)) == 2
    assert max(run(unnamed, pixels[:20]).differences(run(named, pixels[:20]))) <= 1e-6


@pytest.mark.parametrize(
    ("activations", "summed"),
    [
        ((nn.GELU, nn.GELU), {"Gelu"}),
        ((nn.Identity, nn.Identity), {"DequantizeLinear"}),
        ((nn.GELU, nn.Identity), {"DequantizeLinear"}),
    ],
    ids=["float32", "int8", "one of each"],
)
def test_a_sum_takes_values_in_float32_as_they_are_where_none_is_in_int8(activations, summed, garments):
    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            first, second = activations
            self.first = nn.Sequential(conv(1, 48), first())
            self.second = nn.Sequential(nn.Conv2d(48, 48, 1), second())

        def forward(self, images: Tensor) -> Tensor:
            first = self.first(images)
            return first + self.second(first)

    network = Network(Sum(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(48, 10))
    original = to_onnx(ExportedModel(Normalize.to_unit(garments.train.pixels), network, SHARPNESS).eval(), 28, 28, 1)

    int8 = quantize(original, garments.train.pixels[:5].numpy())

    made_by = {name: node.op_type for node in int8.graph.node for name in node.output}
    (names,) = [node.input for node in int8.graph.node if node.op_type == "Add"]
    assert {made_by[name] for name in names} == summed


def with_novelty(network, train, count):
    """Return the graph of a network with a novelty score that knows the first images, and is to tell the next ones."""
    normalize = Normalize.to_standard(train.pixels)
    known, other = (train.take(slice(start, start + count)) for start in (0, count))
    with torch.inference_mode():
        samples = [Sample(p, network.eval().forward_features(normalize(p))) for p in (known.pixels, other.pixels)]
    novelty = NoveltyScore(samples[0], known.labels, SHARPNESS).fit(*samples)
    return to_onnx(ExportedModel(normalize, network, SHARPNESS, novelty).eval(), 28, 28, 1)


@pytest.mark.parametrize("network", [mirrored, lambda: mirrored().network], ids=["mirrored", "plain"])
def test_novelty_reads_what_was_never_in_int8_as_it_is(network, garments):
    original = with_novelty(network(), garments.train, 60)

    int8 = quantize(original, garments.train.pixels[:5].numpy())

    wanted = {name for node in without_novelty(int8).graph.node for name in node.output}
    alone = [node for node in int8.graph.node if not wanted.intersection(node.output)]
    made_by = {name: node.op_type for node in int8.graph.node for name in node.output}
    assert "Gemm" in {node.op_type for node in alone}
    assert "DequantizeLinear" not in {made_by.get(name) for node in alone for name in node.input}


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak of memory is reset on Linux alone")
def test_images_that_novelty_knows_before_others_take_no_more_memory(garments):
    original = with_novelty(mirrored(), garments.train, 40)
    quantize(original, garments.train.pixels[:1].numpy())  # imports the tools
    Path("/proc/self/clear_refs").write_text("5")
    before = peak_of_memory()

    quantize(original, garments.train.pixels[:80].numpy())

    assert peak_of_memory() - before < 200_000_000


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak of memory is reset on Linux alone")
def test_many_calibration_images_take_no_more_memory_than_a_few_of_them(garments):
    network = Network(conv(1, 256), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(256, 10))
    original = to_onnx(ExportedModel(Normalize.to_unit(garments.train.pixels), network, SHARPNESS).eval(), 28, 28, 1)
    activations = 105 * 2 * 256 * 26 * 26 * 4  # bytes
    quantize(original, garments.train.pixels[:1].numpy())  # imports the tools
    Path("/proc/self/clear_refs").write_text("5")
    before = peak_of_memory()

    quantize(original, garments.train.pixels[:105].numpy())

    assert peak_of_memory() - before < activations / 2


def peak_of_memory() -> int:
    """Return the most bytes that this process has had since the peak was reset."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return 1024 * int(line.split()[1])


@pytest.fixture
def _own_temporary_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield
    assert list(folder.iterdir()) == []


@pytest.mark.usefixtures("_own_temporary_folder")
def test_quantizing_prints_nothing_and_leaves_nothing_behind(pair, pixels, monkeypatch, tmp_path, capfd):
    monkeypatch.chdir(tmp_path)
    before, root = pair.original.SerializeToString(), logging.getLogger()
    handlers, level = list(root.handlers), root.level

    quantize(pair.original, pixels[:20])

    assert capfd.readouterr() == ("", "")
    assert (root.handlers, root.level) == (handlers, level)
    assert pair.original.SerializeToString() == before
    assert [path.name for path in tmp_path.iterdir()] == ["temporary"]


def test_measuring_gives_size_time_and_correct_labels_of_each_graph(pair, garments):
    labels = run(pair.original, garments.test.pixels.numpy()).probabilities.argmax(1)
    validation = LabelledImages(garments.test.pixels, torch.from_numpy(labels))

    before, after = measure((pair.original, pair.int8), validation, repetitions=5)

    assert before.size == len(pair.original.SerializeToString()) > after.size
    assert before.correct == before.n == after.n == len(validation)
    assert 0.9 * len(validation) < after.correct <= len(validation)
    assert min(before.ms, after.ms) > 0


BEFORE = Measurement(size=1_000, ms=6.0, correct=900, n=1_000)
AT_THE_LIMITS = Measurement(size=999, ms=5.0, correct=897, n=1_000)


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({}, []),
        ({"size": 1_000}, ["it is not smaller"]),
        ({"ms": 5.01}, ["it is 1.198 times as fast, at least 1.2 is needed"]),
        ({"correct": 896}, ["it loses 0.400 points of accuracy, at most 0.3 are allowed"]),
        ({"correct": 950}, []),
        (
            {"size": 2_000, "ms": 12.0, "correct": 500},
            [
                "it is not smaller",
                "it is 0.500 times as fast, at least 1.2 is needed",
                "it loses 40.000 points of accuracy, at most 0.3 are allowed",
            ],
        ),
    ],
)
def test_int8_is_worth_keeping_up_to_the_limits(changes, reasons):
    assert objections(BEFORE, replace(AT_THE_LIMITS, **changes)) == reasons


def test_the_comparison_gives_each_figure_beside_the_originals():
    before, after = Measurement(7_916_000, 4.0124, 4_669, 5_000), Measurement(2_031_000, 1.7273, 4_661, 5_000)

    assert comparison(before, after) == (
        "int8, on one thread and 5,000 validation images: 2.03 MB instead of 7.92, 1.727 ms an image instead of 4.012, "
        "accuracy 0.9322 instead of 0.9338"
    )


@dataclass(frozen=True)
class Outcome:
    """The models that an export in int8 wrote, and the text that it printed."""

    models: Path
    printed: str


def small_publisher(models: Path, data: TrainTest, limits: Int8Limits) -> Publisher:
    """Train a small network."""
    recipe, console = replace(RECIPES["lecture-mlp"], epochs=1), Console(width=200, file=io.StringIO())
    model = calibrate(recipe, data, train(recipe, data, RunContext(), models, console))
    sizes = SampleSizes(ood_set=30, photos=10, corrupted=1)
    return Publisher(model, models, None, console, sizes, beside_limits=limits, replacement_limits=limits)


def export_int8(models: Path, data: TrainTest, limits: Int8Limits, also_float: bool) -> Outcome:
    """Train a small network and export it in int8; also_float: before that in float32."""
    publisher = small_publisher(models, data, limits)
    if also_float:
        publisher.export()
    publisher.export_int8()
    return Outcome(models, publisher.console.file.getvalue())


@pytest.fixture(scope="module")
def few(data_dir: Path) -> TrainTest:
    """A hundred images to train on, and as many to test."""
    return FASHION_MNIST.load(data_dir, limit=100)


@pytest.fixture(scope="module")
def published(few: TrainTest, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """An export in float32 and in int8 that is kept whatever its speed and accuracy: only to be read."""
    return export_int8(tmp_path_factory.mktemp("int8"), few, Int8Limits(0.0, 1_000), also_float=True)


def test_int8_within_the_limits_is_published_and_served_as_a_model_of_its_own(published):
    folder, repository = published.models / "lecture-mlp-int8", Repository(published.models)
    original, int8 = repository.named("lecture-mlp").card, repository.named("lecture-mlp-int8").card
    assert "int8, on one thread and 10 validation images: 0.13 MB instead of 0.44" in published.printed
    assert "not kept" not in published.printed
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == FILES
    assert 'name: "lecture-mlp-int8"' in (folder / "config.pbtxt").read_text()
    assert (original.network, int8.network) == ("mlp 784-128-10", "mlp 784-128-10, int8")
    assert (int8.parameters, int8.labels) == (original.parameters, original.labels)
    assert int8.training == replace_struct(original.training, quantization=QUANTIZATION)


def test_the_card_of_int8_has_the_golden_samples_and_the_metrics_of_its_own_graph(published, few):
    repository = Repository(published.models)

    original, int8 = repository.named("lecture-mlp"), repository.named("lecture-mlp-int8")

    expected = np.array([golden.probabilities for golden in int8.card.golden], np.float32)
    assert np.allclose(int8.classify(golden_images(28, 28, 1)), expected, atol=1e-6)
    assert [golden.probabilities for golden in original.card.golden] != expected.tolist()
    correct = int8.classify(few.test.pixels.numpy()).argmax(1) == few.test.labels.numpy()
    assert (int8.card.metrics.accuracy, int8.card.metrics.n) == (correct.mean(), 100)


def test_int8_beyond_the_limits_is_not_kept_and_the_reason_is_printed(few, tmp_path):
    outcome = export_int8(tmp_path, few, Int8Limits(min_speedup=1e9), also_float=False)

    assert "int8, on one thread and 10 validation images: 0.13 MB instead of 0.44" in outcome.printed
    assert "int8 was not kept: " in outcome.printed
    assert "times as fast, at least 1e+09 is needed" in outcome.printed
    assert [path.name for path in tmp_path.iterdir()] == [".checkpoints"]


def test_a_network_whose_answers_hardly_differ_is_not_kept_in_int8(few, tmp_path):
    publisher = small_publisher(tmp_path, few, Int8Limits(0.0, 1_000))
    last = publisher.model.exported.network[-1]
    for weights, value in ((last.weight, 0.0), (last.bias, 1e7)):
        nn.init.constant_(weights, value)

    publisher.export_int8()

    assert "int8 was not kept: its ranges cannot be measured (Too many bins" in publisher.console.file.getvalue()


def test_a_recipe_in_int8_is_published_under_its_own_name_with_its_own_thresholds(few, tmp_path):
    publisher = small_publisher(tmp_path, few, Int8Limits(0.0, 1_000))

    publisher.export(int8=True)

    classifier = Repository(tmp_path).named("lecture-mlp")
    card, outputs = classifier.card, classifier.run(publisher.model.split[1].pixels.numpy())
    assert [path.name for path in tmp_path.iterdir() if path.name[0] != "."] == ["lecture-mlp"]
    assert (card.network, card.training.quantization) == ("mlp 784-128-10, int8", QUANTIZATION)
    assert "The file is the trained network in int8" in (tmp_path / "lecture-mlp/README.md").read_text()
    assert card.novelty.threshold == pytest.approx(np.quantile(outputs.novelty, 0.95), rel=1e-5)
    assert publisher.has_published("lecture-mlp", int8=True)
    assert not publisher.has_published("lecture-mlp", int8=False)
    renamed = replace_struct(card, labels=[*card.labels[:-1], "boot"])
    tested = replace_struct(card.metrics, n=card.metrics.n + 1)
    others = (renamed, replace_struct(card, metrics=tested))
    assert is_card_of(publisher.model, card)
    assert not any(is_card_of(publisher.model, other) for other in others)


def test_a_recipe_in_int8_is_published_in_float32_where_int8_does_not_pay(few, tmp_path):
    publisher = small_publisher(tmp_path, few, Int8Limits(min_speedup=1e9))

    publisher.export(int8=True)

    card = Repository(tmp_path).named("lecture-mlp").card
    assert (card.network, card.training.quantization) == ("mlp 784-128-10", UNSET)
    assert publisher.has_published("lecture-mlp", int8=True)
    assert "int8 was not kept" in publisher.console.file.getvalue()


def test_int8_with_other_labels_than_the_trained_network_is_not_published(few, tmp_path):
    publisher = small_publisher(tmp_path, few, Int8Limits(0.0, 1_000))
    assert publisher.graph  # exported before the network changes

    with torch.inference_mode():
        publisher.model.trained.network[-1].weight.neg_()

    with pytest.raises(ExportError, match="of 100 test images the trained network's label"):
        publisher.export(int8=True)
    assert [path.name for path in tmp_path.iterdir()] == [".checkpoints"]


def test_labels_that_are_nearly_tied_may_differ(few, tmp_path):
    publisher = small_publisher(tmp_path, few, Int8Limits(0.0, 1_000))
    last = publisher.model.trained.network[-1]
    with torch.inference_mode():
        last.bias.zero_()
        last.weight.mul_(1e-4)
        assert publisher.graph  # exported before the network changes
        last.weight.neg_()

    publisher.export(int8=True)

    assert "In int8 100.0% of test images get" in publisher.console.file.getvalue()


def test_the_command_compares_int8_with_the_original(run_export, tmp_path, capsys):
    status = run_export(tmp_path / "models", "lecture-mlp", "--limit", "100", "--epochs", "1", "--int8")

    assert status == 0
    assert "int8, on one thread and 10 validation images: 0.13 MB instead of 0.44" in " ".join(
        capsys.readouterr().out.split()
    )


def test_a_resumed_command_publishes_the_model_in_int8_once(run_export, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "Publisher", partial(Publisher, beside_limits=Int8Limits(0.0, 1_000)))
    command = ("lecture-mlp", "--limit", "100", "--epochs", "1", "--int8", "--publish")

    assert run_export(tmp_path, *command) == 0
    assert run_export(tmp_path, *command, "--resume") == 0

    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("*/[0-9]*")) == [
        "lecture-mlp-int8/1",
        "lecture-mlp/1",
    ]
