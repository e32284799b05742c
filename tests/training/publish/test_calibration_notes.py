"""Notes of a card where few images were there to calibrate on."""

import torch

from serving.model.conformal import Conformal, Level
from training.evaluation.calibration import conformal_thresholds
from training.publish.card import calibration_notes


def fitted(n: int) -> Conformal:
    """Return the rule that was fitted on n images of two labels."""
    labels = torch.arange(n) % 2
    probabilities = torch.nn.functional.one_hot(labels, 2) * 0.8 + 0.1
    levels = [Level(c, conformal_thresholds(probabilities, labels, c)) for c in (0.8, 0.9, 0.95, 0.99)]
    return Conformal(coverage=0.95, threshold=levels[2].threshold, levels=levels)


def test_sets_that_have_all_labels_are_told_with_the_coverage_that_tells_labels_apart():
    assert calibration_notes(9, fitted(9)) == [
        "Calibrated on 9 validation images only: probabilities are rough, and at 95% coverage each label set has all "
        "labels. Add images, or ask for coverage=0.9."
    ]


def test_few_images_may_miss_the_coverage_and_many_need_no_note():
    (note,) = calibration_notes(40, fitted(40))

    assert note.endswith("label sets that aim at 95% may hold the true label in 89% to 100% of cases.")
    assert calibration_notes(500, fitted(500)) == []


def test_where_no_coverage_tells_labels_apart_more_images_are_the_advice():
    (note,) = calibration_notes(3, fitted(3))

    assert note.endswith("each label set has all labels. Add images.")
