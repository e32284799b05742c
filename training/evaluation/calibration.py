"""Calibration of probabilities, fitted on validation images alone, and metrics of it."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0
SEARCH_STEPS = 60  # of a golden-section search: the bracket shrinks to 3e-13 of its width
MIN_PROBABILITY = 1e-12  # a probability of 0 would make the loss infinite
# Images of a label that its own threshold may miss: with fewer, it depends on one or two images, and sets get large.
MIN_MISSED = 3


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """Return the temperature that minimizes negative log-likelihood (Guo et al. 2017, section 4.2).

    logits: [n, classes] of validation images; labels: [n] int64. The loss is convex in 1/temperature, so a search
    between two bounds finds the minimum. Raises ValueError when n is 0.
    """
    if not len(labels):
        raise ValueError("0 validation images; fitting a temperature needs at least 1")

    def loss(scale: float) -> float:
        return float(functional.cross_entropy(logits.double() * scale, labels))

    low, high = 1 / MAX_TEMPERATURE, 1 / MIN_TEMPERATURE
    ratio = (5**0.5 - 1) / 2
    for _ in range(SEARCH_STEPS):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if loss(left) < loss(right) else (left, high)
    return 2 / (low + high)


def expected_calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 15) -> float:
    """Return the expected calibration error (ECE): the mean gap between confidence and accuracy.

    The bins are of equal width (Guo et al. 2017, equation 5). probabilities: [n, classes]; labels: [n] int64.
    """
    _, confidence, right = reliability(probabilities, labels, bins)
    return float((right - confidence).abs().sum() / len(labels))


def reliability(probabilities: Tensor, labels: Tensor, bins: int = 15) -> Tensor:
    """Return the sums of a reliability diagram, float64 [3, bins]: of images, of their confidences, of those right.

    The confidence of an image is its largest probability; the bins of it are of equal width. probabilities:
    [n, classes]; labels: [n] int64.
    """
    confidence, predicted = probabilities.double().max(1)
    indices = (confidence * bins).ceil().long().clamp(1, bins) - 1
    values = torch.stack([torch.ones_like(confidence), confidence, (predicted == labels).double()])
    return torch.zeros(3, bins, dtype=torch.float64).index_add(1, indices, values)


def uncalibrated(probabilities: Tensor, temperature: float) -> Tensor:
    """Return probabilities [n, classes] as they would be at temperature 1."""
    return torch.softmax(probabilities.double().clamp_min(MIN_PROBABILITY).log() * temperature, dim=1)


def conformal_thresholds(probabilities: Tensor, labels: Tensor, coverage: float) -> list[float]:
    """Return a threshold for each label: its images have it in their sets with this coverage.

    Split conformal prediction within each label (Vovk 2012, section 4) with least ambiguous sets (LAC: least ambiguous
    set-valued classifiers; Sadinle, Lei and Wasserman 2019). LAC gives smaller sets than APS (adaptive prediction sets)
    and RAPS (the same, regularized): see python -m benchmarks.conformal. A label with too few images takes the
    threshold of all images together, as in Ding et al. 2023, section 2.2.
    probabilities: [n, classes]; labels: [n] int64.
    """
    truth = probabilities.gather(1, labels[:, None])[:, 0]
    shared = _threshold(truth, coverage)
    own = (truth[labels == label] for label in range(probabilities.shape[1]))
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


@dataclass(frozen=True)
class ClassificationMetrics:
    """The metrics of a model on n images.

    loss: negative log-likelihood. ece: expected calibration error. ece_uncalibrated: the same at temperature 1.
    set_size, set_coverage: mean size of the label sets, and the share of them that hold the true label.
    """

    accuracy: float
    n: int
    loss: float
    ece: float
    ece_uncalibrated: float
    set_size: float
    set_coverage: float


def compute_metrics(probabilities: Tensor, labels: Tensor, temperature: float, sets: Tensor) -> ClassificationMetrics:
    """Compare probabilities [n, classes] and label sets, bool [n, classes], with labels [n] int64."""
    given = probabilities.double()
    truth = given.gather(1, labels[:, None]).clamp_min(MIN_PROBABILITY)
    return ClassificationMetrics(
        accuracy=float((given.argmax(1) == labels).double().mean()),
        n=len(labels),
        loss=float(-truth.log().mean()),
        ece=expected_calibration_error(given, labels),
        ece_uncalibrated=expected_calibration_error(uncalibrated(given, temperature), labels),
        set_size=float(sets.sum(1).double().mean()),
        set_coverage=float(_covered(sets, labels).mean()),
    )


def coverage_by_label(sets: Tensor, labels: Tensor) -> list[float]:
    """Return the share of each label's images whose set, bool [n, classes], holds it; NaN for a label without any."""
    covered = _covered(sets, labels)
    return [float(covered[labels == label].mean()) for label in range(sets.shape[1])]


def _covered(sets: Tensor, labels: Tensor) -> Tensor:
    return sets.gather(1, labels[:, None])[:, 0].double()
