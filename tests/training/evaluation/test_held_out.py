"""Cross-validation of own images: each is told by a last layer that did not learn from it."""

import numpy as np
import pytest
import torch
from onnx_classifiers import SIDE, classifier
from torch import Tensor

from training.datasets.formats import DataError
from training.datasets.labelled import LabelledImages
from training.evaluation.held_out import (
    graph_features,
    held_out_probabilities,
    pretrained_features,
)


def colours(*labels: int) -> LabelledImages:
    """Return noisy images [n, SIDE, SIDE, 3] in the colour of their label: 0 red, 1 green, 2 blue."""
    pixels = np.random.default_rng(0).integers(0, 60, (len(labels), SIDE, SIDE, 3), np.uint8)
    pixels[range(len(labels)), :, :, labels] += 150
    return LabelledImages(torch.from_numpy(pixels), torch.tensor(labels))


def told(images: LabelledImages, classes: int) -> Tensor:
    """Return the probabilities of images, told by the means of their channels."""
    return held_out_probabilities(images.pixels.float().mean((1, 2)), images.labels, classes)


def test_an_image_with_a_wrong_label_is_told_by_the_others(capsys):
    images = colours(*[0] * 20, *[1] * 20, *[2] * 20)
    images.labels[7] = 2

    probabilities = told(images, 3)

    assert probabilities.sum(1).tolist() == pytest.approx([1] * 60, abs=1e-5)
    assert (probabilities.argmax(1) != images.labels).nonzero().flatten().tolist() == [7]
    assert capsys.readouterr().err == "Fitting 5 last layers, each to other images\n"


def test_the_labels_of_an_image_with_several_are_told_by_the_others():
    images = colours(*[0] * 20, *[1] * 20)
    images.pixels[10:20, :, :, 2] += 150  # red and blue
    truth = torch.stack([torch.arange(40) < 20, torch.arange(40) >= 20, (torch.arange(40) - 15).abs() < 5], 1)
    truth[10:20, 2] = True
    wrong = truth.clone()
    wrong[12, 2], wrong[30, 2] = False, True

    probabilities = told(LabelledImages(images.pixels, wrong), 3)

    assert ((probabilities > 0.5) == truth).all()


def test_a_label_without_images_has_no_probability():
    assert told(colours(*[0] * 10, *[2] * 10), 4)[:, [1, 3]].sum() == 0


def test_an_image_that_is_the_only_one_of_its_label_is_told_by_one_label_alone():
    probabilities = told(colours(*[0] * 12, 2), 3)

    assert probabilities[12].tolist() == [1, 0, 0]


def test_a_file_that_ends_without_a_layer_of_weights_is_refused(tmp_path):
    file = tmp_path / "model.onnx"
    file.write_bytes(classifier("sum", channels_last=True, uint8=True).SerializeToString())

    with pytest.raises(DataError, match="does not end with a layer of weights"):
        graph_features(file, colours(0, 1).pixels)


def test_a_graph_gives_the_input_of_its_last_layer(tmp_path, capsys):
    file = tmp_path / "model.onnx"
    file.write_bytes(classifier(channels_last=True, uint8=True).SerializeToString())

    features = graph_features(file, colours(0, 0, 2).pixels)

    assert len(features) == 3
    assert features[0].dist(features[1]) < features[0].dist(features[2])
    assert capsys.readouterr().err == "Features of 3 images\n"


def test_the_pretrained_network_gives_features_of_small_grey_images():
    images = colours(0, 0, 2)
    images.pixels[1] = images.pixels[0]

    features = pretrained_features(LabelledImages(images.pixels[..., :1], images.labels))

    assert features.shape == (3, 1_280)
    assert features[0].dist(features[1]) < 0.01 * features[0].dist(features[2])
