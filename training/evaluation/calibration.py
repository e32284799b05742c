"""Calibration of probabilities, fitted on validation images alone, and metrics of it.

Labels are int64 [n], or bool [n, classes] of a multi-label task.
"""

import math

import torch
from msgspec import UNSET
from torch import Tensor

from serving.model.metrics import ModelMetrics
from training.datasets.labelled import truth_of
from training.task import SINGLE, Task, macro_f1, mean_average_precision

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0
SEARCH_STEPS = 60  # of a golden-section search: the bracket shrinks to 3e-13 of its width
# Images of a label that its own threshold may miss: with fewer, it depends on one or two images, and sets get large.
MIN_MISSED = 3


def fit_temperature(logits: Tensor, labels: Tensor, task: Task = SINGLE) -> float:
    """Return the temperature that minimizes negative log-likelihood (Guo et al. 2017, section 4.2).

    logits: [n, classes] of validation images. The labels are smoothed by 1 / (n + 1), as if one more image had all of
    them alike (Platt 1999, section 2.2, does so too): a few images that are all right say little about the next. The
    loss is convex in 1/temperature, so a search between two bounds finds the minimum. Raises ValueError when n is 0.
    """
    if not len(labels):
        raise ValueError("0 validation images; fitting a temperature needs at least 1")

    def loss(scale: float) -> float:
        return float(task.loss(logits.double() * scale, labels, smoothing=1 / (len(labels) + 1)))

    low, high = 1 / MAX_TEMPERATURE, 1 / MIN_TEMPERATURE
    ratio = (5**0.5 - 1) / 2
    for _ in range(SEARCH_STEPS):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if loss(left) < loss(right) else (left, high)
    return 2 / (low + high)


def expected_calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 15, task: Task = SINGLE) -> float:
    """Return the expected calibration error (ECE): the mean gap between confidence and accuracy.

    The bins are of equal width (Guo et al. 2017, section 2). probabilities: [n, classes].
    """
    count, confidence, right = reliability(probabilities, labels, bins, task)
    return float((right - confidence).abs().sum() / count.sum())


def reliability(probabilities: Tensor, labels: Tensor, bins: int = 15, task: Task = SINGLE) -> Tensor:
    """Return the sums of a reliability diagram, float64 [3, bins]: of images, of their confidences, of those right.

    The confidence of an image is its largest probability; of a multi-label task each label of an image counts as one,
    with its probability. The bins are of equal width. probabilities: [n, classes].
    """
    confidence, right = task.beliefs(probabilities, labels)
    indices = (confidence * bins).ceil().long().clamp(1, bins) - 1
    values = torch.stack([torch.ones_like(confidence), confidence, right.double()])
    return torch.zeros(3, bins, dtype=torch.float64).index_add(1, indices, values)


def uncalibrated(probabilities: Tensor, temperature: float, task: Task = SINGLE) -> Tensor:
    """Return probabilities [n, classes] as they would be at temperature 1."""
    return task.activate(task.logits(probabilities) * temperature)


def conformal_thresholds(probabilities: Tensor, labels: Tensor, coverage: float) -> list[float]:
    """Return a threshold for each label: its images have it in their sets with this coverage.

    Split conformal prediction within each label (Vovk 2012, section 4) with least ambiguous sets (LAC: least ambiguous
    set-valued classifiers; Sadinle, Lei and Wasserman 2019). LAC gives smaller sets than APS (adaptive prediction sets)
    and RAPS (the same, regularized): see python -m benchmarks.conformal. A label with too few images takes the
    threshold of all images together, as in Ding et al. 2023, section 2.2. An image with several labels counts for each.
    probabilities: [n, classes].
    """
    truth = truth_of(labels, probabilities.shape[1])
    shared = _threshold(probabilities[truth], coverage)
    own = (p[has] for p, has in zip(probabilities.T, truth.T, strict=True))
    return [_threshold(some, coverage) if _may_miss(len(some), coverage) >= MIN_MISSED else shared for some in own]


def _threshold(truth: Tensor, coverage: float) -> float:
    """Return the threshold that the probabilities [n] of the true labels reach with this coverage."""
    missed = _may_miss(len(truth), coverage)
    return float(truth.sort().values[missed - 1]) if missed else 0.0


def _may_miss(n: int, coverage: float) -> int:
    return n + 1 - math.ceil(round((n + 1) * coverage, 9))


def confusion(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Return the confusion matrix, int64 [classes, classes]: a true label's row counts the predicted labels."""
    classes = probabilities.shape[1]
    return torch.bincount(labels * classes + probabilities.argmax(1), minlength=classes**2).view(classes, classes)


def compute_metrics(
    probabilities: Tensor, labels: Tensor, temperature: float, sets: Tensor, task: Task = SINGLE
) -> ModelMetrics:
    """Compare probabilities [n, classes] and label sets, bool [n, classes], with labels."""
    given, several = probabilities.double(), labels.ndim == 2
    return ModelMetrics(
        accuracy=float(task.right(given, labels).double().mean()),
        n=len(labels),
        loss=float(task.loss(task.logits(given), labels) / len(labels)),
        ece=expected_calibration_error(given, labels, task=task),
        ece_uncalibrated=expected_calibration_error(uncalibrated(given, temperature, task), labels, task=task),
        set_size=float(sets.sum(1).double().mean()),
        set_coverage=share_covered(sets, labels),
        f1=macro_f1(task.decide(given), labels) if several else UNSET,
        map=mean_average_precision(given, labels) if several else UNSET,
    )


def share_covered(sets: Tensor, labels: Tensor) -> float:
    """Return the share of the images' labels that are in their sets, bool [n, classes]."""
    return float(sets[truth_of(labels, sets.shape[1])].double().mean())


def coverage_by_label(sets: Tensor, labels: Tensor) -> list[float]:
    """Return the share of each label's images whose set, bool [n, classes], holds it; NaN for a label without any."""
    truth = truth_of(labels, sets.shape[1])
    return [float(own[has].double().mean()) for own, has in zip(sets.T, truth.T, strict=True)]
