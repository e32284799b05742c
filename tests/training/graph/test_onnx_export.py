from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator
from small_networks import SmallNet
from torch import nn

from serving.model.classifier import MICRO_BATCH, Outputs
from serving.model.runtime import open_session
from training.graph.onnx_export import run, to_onnx, with_metadata
from training.networks.base import Mirrored
from training.networks.cnn import CNN
from training.networks.exported import ExportedModel
from training.networks.mlp import MLP
from training.networks.normalize import Normalize
from training.networks.novelty import NoveltyScore, Sample

REPOSITORY = Path(__file__).parents[3]

pytestmark = pytest.mark.trains


@dataclass(frozen=True)
class Exported:
    """A model in PyTorch and in the file exported from it."""

    model: ExportedModel
    shape: tuple[int, int, int]
    graph: onnx.ModelProto
    file: bytes

    def images(self, count: int) -> NDArray[np.uint8]:
        """Return noise for its input."""
        return np.random.default_rng(count).integers(0, 256, (count, *self.shape), dtype=np.uint8)

    def expected(self, images: NDArray[np.uint8]) -> Outputs:
        """Return PyTorch's outputs."""
        with torch.inference_mode():
            probabilities, novelty = self.model(torch.from_numpy(images))
        return Outputs(probabilities.numpy(), novelty.numpy())


def mirrored_net() -> nn.Module:
    """Return a network as it is served, with batch norm whose statistics have changed."""
    network = SmallNet(channels=3)
    network.train()(torch.rand(8, 3, 32, 32) + 0.5)
    return Mirrored(network)


@pytest.fixture(
    scope="module",
    params=[
        (lambda: MLP(dropout=0.2), (28, 28, 1)),
        (CNN, (32, 32, 3)),
        (mirrored_net, (32, 32, 3)),
    ],
    ids=["mlp", "cnn", "net"],
)
def exported(request: pytest.FixtureRequest) -> Exported:
    """Each network, with dropout or batch norm, normalization, a temperature and a novelty score."""
    network, shape = request.param
    torch.manual_seed(0)
    channels = torch.arange(shape[2]) / 10
    normalize, network = Normalize(0.4 + channels, 0.2 + channels), network().eval()
    noise = torch.randint(0, 256, (120, *shape), dtype=torch.uint8)
    with torch.inference_mode():
        train, validation, outliers = (
            Sample(part, network.forward_features(normalize(part))) for part in noise.split(40)
        )
    novelty = NoveltyScore(train, torch.arange(40) % 10, 1.7, neighbours=20).fit(validation, outliers)
    model = ExportedModel(normalize, network, 1.7, novelty).eval()
    graph = to_onnx(model, *shape)
    return Exported(model, shape, graph, with_metadata(graph, {"key": "value"}))


@pytest.mark.parametrize("batch", [1, 5, 64])
def test_a_batch_of_any_size_gives_the_trained_networks_outputs(exported, batch):
    images = exported.images(batch)

    outputs = ["probabilities", "novelty"]
    found = Outputs(*open_session(exported.file).run(outputs, {"image": images}))

    assert found.probabilities.shape == (batch, 10)
    assert found.novelty.shape == (batch,)
    assert max(found.differences(exported.expected(images))) <= 1e-5


@pytest.mark.parametrize("batch", [1, 5])
def test_the_reference_evaluator_gives_the_same_outputs(exported, batch):
    images = exported.images(batch)

    found = Outputs(*ReferenceEvaluator(onnx.load_from_string(exported.file)).run(None, {"image": images}))

    assert max(found.differences(exported.expected(images))) <= 1e-4


def test_the_graph_takes_raw_pixels_and_gives_probabilities(exported):
    session = open_session(exported.file)

    (image,), (probabilities, novelty) = session.get_inputs(), session.get_outputs()
    assert (image.name, image.type, image.shape[1:]) == ("image", "tensor(uint8)", list(exported.shape))
    assert (probabilities.name, probabilities.type) == ("probabilities", "tensor(float)")
    assert isinstance(image.shape[0], str)
    assert probabilities.shape == [image.shape[0], 10]
    assert (novelty.name, novelty.type, novelty.shape) == ("novelty", "tensor(float)", [image.shape[0]])


def test_several_batches_give_the_outputs_of_one(exported):
    images = exported.images(7)

    found = run(exported.graph, images, batch=3)

    assert found.probabilities.shape == (7, 10)
    assert max(found.differences(run(exported.graph, images))) <= 1e-6


def test_a_graph_is_run_on_as_few_images_at_once_as_the_service_runs():
    nodes = [
        helper.make_node("Shape", ["image"], ["count"], start=0, end=1),
        helper.make_node("Expand", ["count", "count"], ["counts"]),
        helper.make_node("Cast", ["counts"], ["probabilities"], to=TensorProto.FLOAT),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 2, 2, 1])
    counts = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n"])
    graph = helper.make_graph(nodes, "counts its batch", [image], [counts])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)

    found = run(model, np.zeros((2 * MICRO_BATCH + 3, 2, 2, 1), np.uint8)).probabilities

    assert found.tolist() == [MICRO_BATCH] * 2 * MICRO_BATCH + [3] * 3


def test_the_file_stands_alone(exported):
    graph = onnx.load_from_string(exported.file)

    assert len(graph.graph.initializer) >= 4
    assert all(part.data_location == onnx.TensorProto.DEFAULT for part in graph.graph.initializer)
    assert not any(part.external_data for part in graph.graph.initializer)


def test_nothing_in_the_file_mentions_the_machine_that_made_it(exported):
    for trace in (
        str(REPOSITORY).encode(),
        str(Path.home()).encode(),
        b"site-packages",
        b".py",
        b"Traceback",
        b"File ",
    ):
        assert trace not in exported.file


def test_the_file_carries_the_given_metadata_and_no_other(exported):
    graph = onnx.load_from_string(exported.file)

    inner = graph.graph
    parts = [inner, *inner.node, *inner.initializer, *inner.value_info, *inner.input, *inner.output]
    assert {entry.key: entry.value for entry in graph.metadata_props} == {"key": "value"}
    assert not any(part.metadata_props or part.doc_string for part in parts)
    assert (graph.producer_name, graph.doc_string) == ("thimble", "")


def test_metadata_given_again_replaces_what_was_there(exported):
    again = onnx.load_from_string(with_metadata(onnx.load_from_string(exported.file), {"other": "ä"}))

    assert {entry.key: entry.value for entry in again.metadata_props} == {"other": "ä"}


def test_the_weights_are_in_the_file_once(exported):
    weights = sum(parameter.numel() for parameter in exported.model.parameters()) * 4

    assert weights < len(exported.file) < 1.05 * weights + 20_000


def test_an_invalid_graph_is_not_written(exported):
    damaged = onnx.load_from_string(exported.file)
    del damaged.graph.initializer[:]

    with pytest.raises(onnx.checker.ValidationError):
        with_metadata(damaged, {})
