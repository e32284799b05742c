"""Making probabilities mean what they say, fitted on held-out images only."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

SMALLEST, LARGEST = 0.05, 20.0
STEPS = 60  # of a golden-section search: the bracket shrinks to 3e-13 of its width
SMALLEST_PROBABILITY = 1e-12  # one of 0 would make the loss infinite


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """Return the temperature that minimises negative log-likelihood (Guo et al. 2017, section 4.2).

    logits: [n, classes] of held-out images; labels: [n] int64. The loss is convex in 1/temperature, so a search
    between two bounds finds the minimum. Raises ValueError when n is 0.
    """
    if not len(labels):
        raise ValueError("a temperature needs held-out images")

    def loss(scale: float) -> float:
        return float(functional.cross_entropy(logits.double() * scale, labels))

    low, high = 1 / LARGEST, 1 / SMALLEST
    ratio = (5**0.5 - 1) / 2
    for _ in range(STEPS):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if loss(left) < loss(right) else (left, high)
    return 2 / (low + high)


def expected_calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 15) -> float:
    """Return the mean gap between confidence and accuracy over equal-width bins (Guo et al. 2017, equation 5).

    probabilities: [n, classes]; labels: [n] int64.
    """
    confidence, predicted = probabilities.double().max(1)
    gap = (predicted == labels).double() - confidence
    which = (confidence * bins).ceil().long().clamp(1, bins) - 1
    return float(torch.zeros(bins, dtype=torch.float64).index_add(0, which, gap).abs().sum() / len(labels))


def uncalibrated(probabilities: Tensor, temperature: float) -> Tensor:
    """Return what probabilities [n, classes] would be at temperature 1."""
    return torch.softmax(probabilities.double().clamp_min(SMALLEST_PROBABILITY).log() * temperature, dim=1)


def conformal_threshold(probabilities: Tensor, labels: Tensor, coverage: float) -> float:
    """Return how probable a label must be for the sets of all such labels to hold the truth with this coverage.

    Split conformal prediction with least ambiguous sets (LAC; Sadinle, Lei and Wasserman 2019): of n held-out images
    the truth of n + 1 - ceil((n + 1) coverage) may be left out. Of LAC, APS and RAPS it gives the smallest sets
    (python -m benchmarks.conformal). probabilities: [n, classes]; labels: [n] int64.
    """
    truth = probabilities.gather(1, labels[:, None])[:, 0].sort().values
    left_out = len(truth) + 1 - math.ceil(round((len(truth) + 1) * coverage, 9))
    return float(truth[left_out - 1]) if left_out else 0.0


def confusion(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Return how many images of each label (row) were given each label (column): int64 [classes, classes]."""
    classes = probabilities.shape[1]
    return torch.bincount(labels * classes + probabilities.argmax(1), minlength=classes**2).view(classes, classes)


@dataclass(frozen=True)
class Figures:
    """What a model is judged by, on n images.

    Accuracy, negative log-likelihood, expected calibration error with and without its temperature, and the mean size
    of its label sets with the share of them that hold the truth.
    """

    accuracy: float
    n: int
    loss: float
    ece: float
    ece_uncalibrated: float
    set_size: float
    set_coverage: float


def figures(probabilities: Tensor, labels: Tensor, temperature: float, sets: Tensor) -> Figures:
    """Measure probabilities [n, classes] and label sets, bool [n, classes], against labels [n] int64."""
    given = probabilities.double()
    truth = given.gather(1, labels[:, None]).clamp_min(SMALLEST_PROBABILITY)
    return Figures(
        accuracy=float((given.argmax(1) == labels).double().mean()),
        n=len(labels),
        loss=float(-truth.log().mean()),
        ece=expected_calibration_error(given, labels),
        ece_uncalibrated=expected_calibration_error(uncalibrated(given, temperature), labels),
        set_size=float(sets.sum(1).double().mean()),
        set_coverage=float(_covered(sets, labels).mean()),
    )


def coverage_by_label(sets: Tensor, labels: Tensor) -> list[float]:
    """Return the share of each label's images whose set, bool [n, classes], holds it; nan for a label without any."""
    covered = _covered(sets, labels)
    return [float(covered[labels == label].mean()) for label in range(sets.shape[1])]


def _covered(sets: Tensor, labels: Tensor) -> Tensor:
    return sets.gather(1, labels[:, None])[:, 0].double()
