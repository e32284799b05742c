"""Cross-validation of own images: each is told by a last layer that did not learn from it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from onnx_classifiers import SIDE, classifier

from training.datasets.formats import DataError
from training.datasets.labelled import LabelledImages
from training.evaluation.held_out import FOLDS, held_out_probabilities, stratified_folds


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A model whose graph takes raw pixels, as exported ones do."""
    path = tmp_path / "model.onnx"
    path.write_bytes(classifier(channels_last=True, uint8=True).SerializeToString())
    return path


def colours(*labels: int) -> LabelledImages:
    """Return noisy images [n, SIDE, SIDE, 3] in the colour of their label: 0 red, 1 green, 2 blue."""
    pixels = np.random.default_rng(0).integers(0, 60, (len(labels), SIDE, SIDE, 3), np.uint8)
    pixels[range(len(labels)), :, :, labels] += 150
    return LabelledImages(torch.from_numpy(pixels), torch.tensor(labels))


def test_an_image_with_a_wrong_label_is_told_by_the_others(file):
    images = colours(*[0] * 20, *[1] * 20, *[2] * 20)
    images.labels[7] = 2

    probabilities = held_out_probabilities(file, images, 3)

    assert probabilities.sum(1).tolist() == pytest.approx([1] * 60, abs=1e-5)
    assert (probabilities.argmax(1) != images.labels).nonzero().flatten().tolist() == [7]


def test_a_label_without_images_has_no_probability(file):
    assert held_out_probabilities(file, colours(*[0] * 10, *[2] * 10), 4)[:, [1, 3]].sum() == 0


def test_an_image_that_is_the_only_one_of_its_label_is_told_by_one_label_alone(file):
    probabilities = held_out_probabilities(file, colours(*[0] * 12, 2), 3)

    assert probabilities[12].tolist() == [1, 0, 0]


def test_each_fold_has_its_share_of_each_label():
    labels = torch.tensor([0] * 50 + [1] * 11 + [2] * 5)

    folds = stratified_folds(labels)

    counts = np.array([np.bincount(folds[(labels == label).numpy()], minlength=FOLDS) for label in range(3)])
    assert counts.min(1).tolist() == [10, 2, 1]
    assert counts.max(1).tolist() == [10, 3, 1]
    assert folds[:FOLDS].tolist() != list(range(FOLDS))


def test_a_file_that_ends_without_a_layer_of_weights_is_refused(tmp_path):
    file = tmp_path / "model.onnx"
    file.write_bytes(classifier("sum", channels_last=True, uint8=True).SerializeToString())

    with pytest.raises(DataError, match="does not end with a layer of weights"):
        held_out_probabilities(file, colours(0, 1), 2)
