import math

import numpy as np
import pytest
import torch
from crepes import ConformalClassifier
from crepes.extras import hinge
from torch.nn import functional

from training.evaluation.calibration import (
    compute_metrics,
    conformal_thresholds,
    confusion,
    coverage_by_label,
    expected_calibration_error,
    fit_temperature,
    reliability,
    uncalibrated,
)


@pytest.mark.parametrize("temperature", [0.25, 1.0, 3.0], ids=["timid", "right", "overconfident"])
def test_the_temperature_that_logits_were_scaled_with_is_found(temperature):
    generator = torch.Generator().manual_seed(0)
    honest = 2 * torch.randn(20_000, 5, generator=generator)
    labels = torch.multinomial(honest.softmax(1), 1, generator=generator)[:, 0]

    assert fit_temperature(honest * temperature, labels) == pytest.approx(temperature, rel=0.05)


def test_no_other_temperature_has_a_smaller_loss():
    generator = torch.Generator().manual_seed(1)
    logits, labels = torch.randn(50, 3, generator=generator), torch.randint(0, 3, (50,), generator=generator)

    best = fit_temperature(logits + 2 * functional.one_hot(labels, 3), labels)

    losses = {
        factor: float(
            functional.cross_entropy(
                (logits + 2 * functional.one_hot(labels, 3)) / (best * factor), labels, label_smoothing=1 / 51
            )
        )
        for factor in (0.95, 1.0, 1.05)
    }
    assert min(losses, key=losses.__getitem__) == 1.0


@pytest.mark.parametrize(("gap", "bound"), [(1e-3, 0.05), (-1e3, 20.0)], ids=["right", "wrong"])
def test_a_temperature_stays_between_its_bounds(gap, bound):
    assert fit_temperature(gap * torch.eye(3), torch.arange(3)) == pytest.approx(bound, rel=1e-6)


@pytest.mark.parametrize(("n", "confidence"), [(3, 5 / 6), (300, 1 - 2 / 903)])
def test_images_that_are_all_right_give_confidence_by_their_number(n, confidence):
    labels = torch.arange(n) % 3
    logits = torch.eye(3)[labels]

    calibrated = (logits / fit_temperature(logits, labels)).softmax(1)

    assert torch.allclose(calibrated.amax(1), torch.tensor(confidence))


def test_fitting_a_temperature_to_no_images_is_refused():
    with pytest.raises(ValueError, match="0 validation images; fitting a temperature needs at least 1"):
        fit_temperature(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64))


def test_the_calibration_error_is_the_one_worked_out_by_hand():
    # Two bins of (0, 0.5] and (0.5, 1]. In the upper: confidences 0.9, 0.8, 0.6 of which two are right, so a gap of
    # |2 - 2.3| = 0.3; in the lower: 0.5, on its upper edge, and right, so a gap of 0.5. The sum is 0.8, of four images.
    probabilities = torch.tensor([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.6, 0.4, 0.0], [0.5, 0.3, 0.2]])
    labels = torch.tensor([0, 1, 1, 0])

    assert expected_calibration_error(probabilities, labels, bins=2) == pytest.approx(0.8 / 4)


def test_a_reliability_diagram_has_the_images_confidences_and_hits_of_each_bin():
    probabilities = torch.tensor([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.6, 0.4, 0.0], [0.5, 0.3, 0.2]])

    count, confidence, right = reliability(probabilities, torch.tensor([0, 1, 1, 0]), bins=2)

    assert count.tolist() == [1, 3]
    assert confidence.tolist() == pytest.approx([0.5, 2.3])
    assert right.tolist() == [1, 2]


def test_gaps_of_opposite_sign_cancel_within_a_bin_alone():
    probabilities = torch.tensor([[0.75, 0.25], [0.75, 0.25], [0.95, 0.05], [0.95, 0.05]])
    labels = torch.tensor([0, 0, 1, 0])

    assert expected_calibration_error(probabilities, labels, bins=1) == pytest.approx(abs(3 - 3.4) / 4)
    assert expected_calibration_error(probabilities, labels, bins=15) == pytest.approx((0.5 + 0.9) / 4)


def test_certain_and_correct_predictions_are_perfectly_calibrated():
    assert expected_calibration_error(torch.eye(4), torch.arange(4)) == 0


def test_the_metrics_are_those_worked_out_by_hand():
    probabilities = torch.tensor([[0.5, 0.5], [0.25, 0.75], [0.25, 0.75], [1.0, 0.0]])

    measured = compute_metrics(probabilities, torch.tensor([0, 1, 0, 0]), 1.0, probabilities >= 0.5)

    assert (measured.accuracy, measured.n) == (0.75, 4)
    assert (measured.set_size, measured.set_coverage) == (1.25, 0.75)
    assert measured.loss == pytest.approx((math.log(2) - math.log(0.75) + math.log(4) + 0) / 4)
    assert measured.ece == pytest.approx((0.5 + abs(1 - 1.5)) / 4)
    assert measured.ece_uncalibrated == pytest.approx(measured.ece)


def test_a_probability_of_0_for_the_true_label_costs_a_finite_loss():
    measured = compute_metrics(torch.tensor([[1.0, 0.0]]), torch.tensor([1]), 1.0, torch.tensor([[True, False]]))

    assert measured.loss == pytest.approx(-math.log(1e-12))


def test_the_confusion_matrix_counts_images_by_true_and_predicted_label():
    given = torch.tensor([0, 1, 1, 2, 2, 2])
    probabilities = functional.one_hot(given, 4).float()

    counts = confusion(probabilities, torch.tensor([0, 0, 1, 2, 2, 1]))

    assert counts.tolist() == [[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 2, 0], [0, 0, 0, 0]]


def test_at_temperature_1_the_probabilities_are_the_softmax_of_the_logits():
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 3.0]])

    assert torch.allclose(uncalibrated((logits / 2.5).softmax(1), 2.5), logits.double().softmax(1), atol=1e-6)


FITTED = 2_007  # images to fit on, so that no rank is a whole number, where the library's sets are larger by one image


def sample(n):
    """Return probabilities [n, 5] of labels, some of them rarer and harder than others, and the true labels."""
    generator = torch.Generator().manual_seed(0)
    ease = torch.tensor([5.0, 4.0, 3.0, 2.0, 1.0])
    probabilities = (ease * torch.randn(n, 5, generator=generator)).softmax(1)
    return probabilities, torch.multinomial(probabilities, 1, generator=generator)[:, 0]


@pytest.mark.parametrize(("coverage", "missed"), [(0.95, 1), (0.9, 2), (0.8, 4), (0.99, 0)])
def test_the_threshold_misses_as_many_true_labels_as_the_coverage_allows(coverage, missed):
    truth = torch.linspace(0.05, 0.95, 19)  # 19 images: (19 + 1) x 5% is one
    probabilities = torch.stack([truth, 1 - truth], 1)

    threshold, _ = conformal_thresholds(probabilities, torch.zeros(19, dtype=torch.int64), coverage)

    assert int((truth < threshold).sum()) == max(0, missed - 1)
    assert threshold == (truth[missed - 1] if missed else 0)


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95, 0.99])
def test_sets_hold_each_label_of_new_images_as_often_as_they_promise(coverage):
    probabilities, labels = sample(40_000)
    thresholds = conformal_thresholds(probabilities[:20_000], labels[:20_000], coverage)

    covered = coverage_by_label(probabilities[20_000:] >= torch.tensor(thresholds), labels[20_000:])

    assert covered == pytest.approx([coverage] * 5, abs=0.025)


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_the_sets_are_those_of_another_library(coverage):
    probabilities, labels = (values.numpy() for values in sample(3_000))
    fitted, new = hinge(probabilities[:FITTED]), hinge(probabilities[FITTED:])
    true = labels[:FITTED]
    theirs = ConformalClassifier().fit(fitted[range(FITTED), true], bins=true)

    expected = [
        theirs.predict_set(new[:, [label]], np.full(len(new), label), confidence=coverage, smoothing=False)
        for label in range(5)
    ]

    ours = conformal_thresholds(torch.from_numpy(probabilities[:FITTED]), torch.from_numpy(true), coverage)
    np.testing.assert_array_equal(probabilities[FITTED:] >= np.array(ours), np.hstack(expected))


def test_a_label_with_too_few_images_takes_the_threshold_of_all_images():
    truth = torch.linspace(0.1, 0.9, 117)
    labels = torch.tensor([0] * 59 + [1] * 58)  # of 58 images, 59 x 5% may be missed, which is less than three

    own, rare, absent = conformal_thresholds(torch.stack([truth] * 3, 1), labels, 0.95)

    assert own == truth[3 - 1]
    assert rare == absent == truth[5 - 1]  # 118 x 5% is less than six


def test_coverage_is_given_label_by_label_and_is_nan_for_a_label_without_images():
    sets = torch.tensor([[True, False, False], [False, True, False], [True, True, False]])

    covered = coverage_by_label(sets, torch.tensor([0, 0, 1]))

    assert covered[:2] == [0.5, 1.0]
    assert math.isnan(covered[2])
