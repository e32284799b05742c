"""The tasks: what a training has to know of single and of several labels."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score
from torch.nn import functional

from training.datasets.labelled import rarest_label, truth_of
from training.evaluation.calibration import (
    compute_metrics,
    conformal_thresholds,
    coverage_by_label,
    expected_calibration_error,
    fit_temperature,
    uncalibrated,
)
from training.task import (
    MAX_ITERATIONS,
    MIN_POSITIVES,
    MULTI,
    SINGLE,
    THRESHOLD_RANGE,
    balanced_regression,
    macro_f1,
    mean_average_precision,
    task_of,
)


@pytest.fixture
def honest() -> tuple[torch.Tensor, torch.Tensor]:
    """Logits [n, 3] of independent labels, and labels drawn with their very probabilities."""
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(20_000, 3, generator=generator)
    return logits, torch.rand(logits.shape, generator=generator) < logits.sigmoid()


def test_a_regression_that_does_not_converge_warns_nobody():
    generator = np.random.default_rng(0)
    features = generator.normal(size=(200, 60)).astype(np.float32) * np.logspace(0, 5, 60, dtype=np.float32)

    regression = balanced_regression(features, generator.integers(0, 4, 200), penalty=1e-9)

    assert regression.n_iter_.max() == MAX_ITERATIONS


def test_the_temperature_of_honest_logits_is_found(honest):
    logits, labels = honest

    assert fit_temperature(2.5 * logits, labels, MULTI) == pytest.approx(2.5, rel=0.05)


def test_probabilities_at_temperature_1_are_recovered(honest):
    logits, _ = honest

    assert torch.allclose(uncalibrated((logits / 2.5).sigmoid(), 2.5, MULTI), logits.double().sigmoid(), atol=1e-6)


def test_the_calibration_error_is_over_all_labels_of_all_images(honest):
    logits, labels = honest

    assert expected_calibration_error(logits.sigmoid(), labels, task=MULTI) < 0.01
    assert expected_calibration_error((3 * logits).sigmoid(), labels, task=MULTI) > 0.05


def test_each_label_is_covered_where_an_image_has_it(honest):
    logits, labels = honest
    probabilities = logits.sigmoid()

    thresholds = torch.tensor(conformal_thresholds(probabilities[::2], labels[::2], 0.9))

    assert coverage_by_label(probabilities[1::2] >= thresholds, labels[1::2]) == pytest.approx([0.9] * 3, abs=0.03)


def test_a_loss_is_the_mean_over_labels_and_the_sum_over_images():
    logits, labels = torch.tensor([[0.0, 0.0], [0.0, 0.0]]), torch.tensor([[True, False], [False, False]])

    assert float(MULTI.loss(logits, labels)) == pytest.approx(2 * 0.693147, rel=1e-5)


def test_smoothing_moves_targets_towards_one_half():
    labels = torch.tensor([[True, False]])
    best = torch.logit(torch.tensor([[0.9, 0.1]])).requires_grad_()

    MULTI.loss(best, labels, smoothing=0.2).backward()

    assert best.grad.abs().max() < 1e-6


def test_metrics_are_those_of_scikit_learn(honest):
    logits, labels = (part[:500] for part in honest)
    decided = logits > 0

    expected = f1_score(labels, decided, average="macro"), average_precision_score(labels, logits, average="macro")
    assert (macro_f1(decided, labels), mean_average_precision(logits, labels)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("n", "positive"), [(15, 9), (33, 29), (4, 2)])
def test_a_perfect_order_has_a_precision_of_1_and_no_more(n, positive):
    labels = (torch.arange(n)[:, None] < positive).expand(n, 3)

    assert mean_average_precision(labels.double() - torch.arange(n)[:, None] / 100, labels) == 1


def test_of_images_without_any_label_the_average_precision_is_0():
    assert mean_average_precision(torch.rand(3, 2), torch.zeros(3, 2, dtype=torch.bool)) == 0


def test_a_label_that_no_image_has_does_not_count():
    labels, scores = torch.tensor([[True, False], [False, False]]), torch.tensor([[0.9, 0.8], [0.1, 0.9]])

    assert macro_f1(scores > 0.5, labels) == mean_average_precision(scores, labels) == 1


def test_accuracy_counts_images_with_all_labels_right():
    probabilities = torch.tensor([[0.9, 0.1], [0.9, 0.9], [0.1, 0.1]])
    labels = torch.tensor([[True, False], [True, False], [False, False]])

    measured = compute_metrics(probabilities, labels, 1.0, probabilities >= 0.5, MULTI)

    assert measured.accuracy == pytest.approx(2 / 3)
    assert (measured.set_size, measured.set_coverage) == (1.0, 1.0)


class TestThresholds:
    def test_a_threshold_lies_in_the_middle_of_the_gap_that_separates_a_label(self):
        has = torch.arange(40) < 20
        probabilities = torch.where(has, 0.8, 0.3)[:, None].expand(-1, 2)

        task = MULTI.with_thresholds(probabilities, has[:, None].expand(-1, 2))

        assert task.decision.thresholds == pytest.approx([0.55, 0.55])

    def test_a_threshold_maximizes_the_f1_score(self, honest):
        logits, labels = honest
        probabilities = (logits - 2).sigmoid()  # too low by far

        (first, *_) = MULTI.with_thresholds(probabilities, labels).decision.thresholds

        def f1(threshold: float) -> float:
            return f1_score(labels[:, 0], probabilities[:, 0] >= threshold)

        assert f1(first) >= max(f1(step / 50) for step in range(5, 46)) - 1e-9

    def test_a_label_with_few_images_takes_the_threshold_of_all_together(self):
        many, few = torch.arange(100) < 50, torch.arange(100) < MIN_POSITIVES - 1
        probabilities = torch.stack([torch.where(many, 0.8, 0.4), torch.where(few, 0.3, 0.2)], 1)

        own, shared = MULTI.with_thresholds(probabilities, torch.stack([many, few], 1)).decision.thresholds

        assert own == pytest.approx(0.6)
        assert shared == pytest.approx(0.6)

    def test_a_threshold_is_never_extreme(self):
        has = torch.arange(40) < 20
        probabilities = torch.stack([torch.where(has, 0.02, 0.01), torch.where(has, 0.99, 0.98)], 1)

        thresholds = MULTI.with_thresholds(probabilities, torch.stack([has, has], 1)).decision.thresholds

        assert thresholds == list(THRESHOLD_RANGE)

    def test_without_any_label_it_is_one_half(self):
        thresholds = MULTI.with_thresholds(torch.rand(5, 2), torch.zeros(5, 2, dtype=torch.bool)).decision.thresholds

        assert thresholds == [0.5, 0.5]

    def test_a_task_of_a_card_decides_as_the_card_does(self):
        fitted = MULTI.with_thresholds(torch.rand(40, 3), torch.rand(40, 3) > 0.5)

        assert task_of(fitted.decision) == fitted
        assert task_of(SINGLE.decision) is SINGLE


class TestLabels:
    def test_an_index_or_a_row_says_which_labels_an_image_has(self):
        truth = torch.tensor([[False, True, False], [True, False, False]])

        assert torch.equal(truth_of(torch.tensor([1, 0]), 3), truth)
        assert truth_of(truth, 3) is truth

    def test_the_rarest_of_several_labels_stands_for_an_image(self):
        labels = torch.tensor([[True, True], [True, False], [False, False]])

        assert rarest_label(labels).tolist() == [1, 0, 2]
        assert rarest_label(torch.tensor([1, 0, 1])).tolist() == [1, 0, 1]


def test_the_layer_of_several_labels_is_a_regression_for_each():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(400, 5, generator=generator)
    labels = torch.stack([features[:, 0] > 0, features[:, 1] > 1, torch.zeros(400, dtype=torch.bool)], 1)

    head = MULTI.fit_layer(features, labels, penalty=0.1, classes=3)

    logits = head(features)
    assert ((logits > 0) == labels).float().mean() > 0.99
    assert logits[:, 2].max() < -3  # a label that no image has
    assert functional.cosine_similarity(head.weight[0], torch.eye(5)[0], dim=0) > 0.9
