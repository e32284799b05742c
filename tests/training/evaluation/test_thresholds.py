from itertools import pairwise

import torch

from serving.model.classifier import Outputs
from training.datasets.labelled import LabelledImages
from training.evaluation.thresholds import Calibration
from training.recipes import LECTURE_MLP


def test_a_set_of_a_higher_coverage_has_all_labels_of_a_lower_one():
    generator = torch.Generator().manual_seed(0)
    probabilities = (torch.tensor([6.0, 3.0, 1.0]) * torch.randn(300, 3, generator=generator)).softmax(1)
    labels = torch.multinomial(probabilities, 1, generator=generator)[:, 0]  # too few images for each at 98%
    images = LabelledImages(torch.zeros(300, 2, 2, 1, dtype=torch.uint8), labels)

    conformal = Calibration.of(lambda _: Outputs(probabilities.numpy(), None), images, LECTURE_MLP).conformal

    thresholds = [level.by_label(3) for level in conformal.levels]
    assert all(low >= high for pair in pairwise(thresholds) for low, high in zip(*pair, strict=True))
    assert len(set(thresholds[0])) == 3
    assert conformal.default == conformal.level(0.95)


def test_the_brightness_of_white_images_is_1():
    images = LabelledImages(torch.full((6, 2, 2, 1), 255, dtype=torch.uint8), torch.arange(6) % 3)
    probabilities = torch.full((6, 3), 1 / 3)

    reference = Calibration.of(lambda _: Outputs(probabilities.numpy(), None), images, LECTURE_MLP).reference

    assert (reference.brightness.mean, reference.brightness.spread) == (1.0, 0.0)
