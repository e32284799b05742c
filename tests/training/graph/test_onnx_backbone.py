"""A network that begins with another ONNX classifier."""

import math

import numpy as np
import onnx
import pytest
import torch
from onnx_classifiers import SIDE, WEIGHTS, classifier

from training.graph.onnx_backbone import OnnxBackbone, to_bytes, to_imagenet, to_symmetric
from training.graph.onnx_export import run, to_onnx
from training.graph.onnx_features import OnnxFeatures
from training.networks.base import count_parameters
from training.networks.exported import ExportedModel
from training.networks.layers import layers

LABELS = 3


@pytest.fixture
def features(tmp_path):
    onnx.save(classifier(channels_last=True), tmp_path / "other.onnx")
    return OnnxFeatures.open(tmp_path / "other.onnx")


@pytest.mark.parametrize("channels", [1, 3])
def test_the_exported_graph_has_the_backbones_nodes_and_gives_the_networks_outputs(features, channels):
    pixels = torch.randint(0, 256, (4, SIDE + 4, SIDE + 4, channels), dtype=torch.uint8)
    model = ExportedModel(to_imagenet(pixels), OnnxBackbone(features, LABELS), temperature=1.5).eval()

    graph = to_onnx(model, *pixels.shape[1:])

    onnx.checker.check_model(graph, full_check=True)
    assert {opset.domain for opset in graph.opset_import} == {""}
    with torch.inference_mode():
        expected = model(pixels)[0].numpy()
    np.testing.assert_allclose(run(graph, pixels.numpy()).probabilities, expected, atol=1e-5)


def test_a_mean_of_pixels_that_ends_in_one_half_becomes_the_same_byte_whatever_its_rounding_error(tmp_path):
    onnx.save(classifier(uint8=True), tmp_path / "other.onnx")
    to_input = OnnxBackbone(OnnxFeatures.open(tmp_path / "other.onnx"), LABELS)[0]
    halves = (torch.arange(SIDE**2) % 255 + 0.5).view(1, 1, SIDE, SIDE)

    assert to_input(halves - 1e-4).equal(to_input(halves + 1e-4))


@pytest.mark.parametrize("name", ["no UTF-8: \udcfc.onnx", "red: \x1b[31m.onnx"])
def test_a_file_whose_name_cannot_be_printed_has_its_codes_in_the_title(tmp_path, name):
    onnx.save(classifier(), tmp_path / name)

    title = OnnxBackbone(OnnxFeatures.open(tmp_path / name), LABELS).title

    assert title == f"{name.removesuffix('.onnx')!a}, without its last layer"


def test_only_the_last_layer_has_weights_to_train(features):
    network = OnnxBackbone(features, LABELS)

    assert [tuple(weight.shape) for weight in network.parameters()] == [(LABELS, features.count), (LABELS,)]


def test_the_weights_of_the_graph_are_among_its_parameters(features):
    network = OnnxBackbone(features, LABELS)

    assert count_parameters(network) == math.prod(WEIGHTS["kernel"]) + LABELS * (features.count + 1)
    assert sum(layer.parameters for layer in layers(network, (3, SIDE, SIDE))) == count_parameters(network)


@pytest.mark.parametrize(
    ("normalize", "least", "largest"),
    [(to_symmetric, -1, 1), (to_bytes, 0, 255), (to_imagenet, -0.485 / 0.229, (1 - 0.485) / 0.229)],
)
def test_pixels_are_brought_to_the_range_that_a_backbone_wants(normalize, least, largest):
    pixels = torch.tensor([0, 255], dtype=torch.uint8).view(1, 1, 2, 1).expand(1, 1, 2, 3)

    values = normalize(pixels)(pixels)[0, 0, 0]

    assert values.tolist() == pytest.approx([least, largest], abs=1e-4)
