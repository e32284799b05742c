from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator
from torch import nn

from training.graph import Answers, run, to_onnx, with_metadata
from training.networks import CNN, MLP, Mirrored, Net
from training.networks.normalisation import Normalise
from training.networks.novelty import Novelty
from training.networks.served import Served

REPOSITORY = Path(__file__).parents[3]


@dataclass(frozen=True)
class Exported:
    """A network as it stands in PyTorch and as the file that came of it."""

    served: Served
    shape: tuple[int, int, int]
    graph: onnx.ModelProto
    file: bytes

    def images(self, count: int) -> NDArray[np.uint8]:
        """Return noise for its input."""
        return np.random.default_rng(count).integers(0, 256, (count, *self.shape), dtype=np.uint8)

    def expected(self, images: NDArray[np.uint8]) -> Answers:
        """Return what PyTorch answers."""
        with torch.inference_mode():
            probabilities, novelty = self.served(torch.from_numpy(images))
        return Answers(probabilities.numpy(), novelty.numpy())


class SmallNet(Net):
    """The strong compact network in everything but its size."""

    widths = (24, 32, 32)


def mirrored_net() -> nn.Module:
    """Return a network with batch norm that has seen images, as it is served."""
    network = SmallNet(channels=3)
    network.train()(torch.rand(8, 3, 32, 32) + 0.5)
    return Mirrored(network)


@pytest.fixture(
    scope="module",
    params=[
        (lambda: MLP(dropout=0.2), (28, 28, 1)),
        (lambda: CNN(dropout=0.2), (32, 32, 3)),
        (mirrored_net, (32, 32, 3)),
    ],
    ids=["mlp", "cnn", "net"],
)
def exported(request: pytest.FixtureRequest) -> Exported:
    """Each network, with dropout or batch norm in it, normalisation and a temperature around it."""
    network, shape = request.param
    torch.manual_seed(0)
    channels = torch.arange(shape[2]) / 10
    normalise, network = Normalise(0.4 + channels, 0.2 + channels), network().eval()
    noise = torch.randint(0, 256, (120, *shape), dtype=torch.uint8)
    with torch.inference_mode():
        seen, held, foreign = (network.observe(normalise(part)) for part in noise.split(40))
    novelty = Novelty(seen, torch.arange(40) % 10, 1.7).fit(held, foreign)
    served = Served(normalise, network, 1.7, novelty).eval()
    graph = to_onnx(served, *shape)
    return Exported(served, shape, graph, with_metadata(graph, {"key": "value"}))


@pytest.mark.parametrize("batch", [1, 5, 64])
def test_any_batch_is_answered_as_by_the_trained_network(exported, batch):
    images = exported.images(batch)

    outputs = ["probabilities", "novelty"]
    answered = Answers(*onnxruntime.InferenceSession(exported.file).run(outputs, {"image": images}))

    assert answered.probabilities.shape == (batch, 10)
    assert answered.novelty.shape == (batch,)
    assert max(answered.differences(exported.expected(images))) <= 1e-5


@pytest.mark.parametrize("batch", [1, 5])
def test_the_reference_evaluator_gives_the_same_answers(exported, batch):
    images = exported.images(batch)

    answered = Answers(*ReferenceEvaluator(onnx.load_from_string(exported.file)).run(None, {"image": images}))

    assert max(answered.differences(exported.expected(images))) <= 1e-4


def test_the_graph_takes_raw_pixels_and_gives_probabilities(exported):
    session = onnxruntime.InferenceSession(exported.file)

    (image,), (probabilities, novelty) = session.get_inputs(), session.get_outputs()
    assert (image.name, image.type, image.shape[1:]) == ("image", "tensor(uint8)", list(exported.shape))
    assert (probabilities.name, probabilities.type) == ("probabilities", "tensor(float)")
    assert isinstance(image.shape[0], str)
    assert probabilities.shape == [image.shape[0], 10]
    assert (novelty.name, novelty.type, novelty.shape) == ("novelty", "tensor(float)", [image.shape[0]])


def test_running_in_batches_gives_what_one_batch_gives(exported):
    images = exported.images(7)

    answered = run(exported.graph, images, batch=3)

    assert answered.probabilities.shape == (7, 10)
    assert max(answered.differences(run(exported.graph, images))) <= 1e-6


def test_the_file_stands_alone(exported):
    graph = onnx.load_from_string(exported.file)

    assert len(graph.graph.initializer) >= 4
    assert all(part.data_location == onnx.TensorProto.DEFAULT for part in graph.graph.initializer)
    assert not any(part.external_data for part in graph.graph.initializer)


def test_nothing_in_the_file_tells_of_the_machine_that_made_it(exported):
    for trace in (
        str(REPOSITORY).encode(),
        str(Path.home()).encode(),
        b"site-packages",
        b".py",
        b"Traceback",
        b"File ",
    ):
        assert trace not in exported.file


def test_the_file_carries_the_metadata_given_and_no_other(exported):
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
    weights = sum(parameter.numel() for parameter in exported.served.parameters()) * 4

    assert weights < len(exported.file) < 1.05 * weights + 20_000


def test_a_graph_that_is_not_sound_is_not_written(exported):
    damaged = onnx.load_from_string(exported.file)
    del damaged.graph.initializer[:]

    with pytest.raises(onnx.checker.ValidationError):
        with_metadata(damaged, {})
