"""The task of a training: an image has one label, or several; loss, probabilities and decisions follow from it.

Everywhere here, labels are those of n images: int64 [n], an index each, or bool [n, classes].
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from serving.model.task import MIN_PROBABILITY, SINGLE_LABEL, MultiLabel, SingleLabel
from training.datasets.labelled import truth_of
from training.regression import fitted, minimize

MAX_ITERATIONS = 500  # of a regression
EVEN = 0.5  # the threshold of a label before any is fitted
EVEN_DECISION = MultiLabel([EVEN])
MIN_POSITIVES = 10  # validation images of a label that its own threshold is fitted to; with fewer, chance would set it
THRESHOLD_RANGE = 0.1, 0.9  # beyond, a few validation images decide


class Beliefs(NamedTuple):
    """Probabilities that came true or not: confidence, float64 [k], and right, bool [k]."""

    confidence: Tensor
    right: Tensor


class Task(ABC):
    """How labels are learned, given and judged. decision: gives labels, and is what a card says of the task."""

    decision: SingleLabel | MultiLabel

    @property
    def set_limits(self) -> float | list[float]:
        """The highest threshold that label sets may have, of all labels or of each."""
        return 1.0

    @abstractmethod
    def activate(self, logits: Tensor) -> Tensor:
        """Return the probabilities [n, classes] of logits."""

    @abstractmethod
    def logits(self, probabilities: Tensor) -> Tensor:
        """Return logits [n, classes] that have these probabilities."""

    @abstractmethod
    def loss(self, logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
        """Return the sum of the images' losses."""

    @abstractmethod
    def hits(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return which images get their labels and no other before any threshold is fitted, bool [n]."""

    @abstractmethod
    def beliefs(self, probabilities: Tensor, labels: Tensor) -> Beliefs:
        """Return what calibration compares: how probable what is said is, and whether it is so."""

    @abstractmethod
    def quality(self, logits: Tensor, labels: Tensor) -> float:
        """Return the metric that chooses among networks; larger is better."""

    @abstractmethod
    def fit_layer(self, features: Tensor, labels: Tensor, penalty: float, classes: int) -> nn.Linear:
        """Return the layer of a regularized regression, from features [n, f] to logits [n, classes]."""

    @abstractmethod
    def with_thresholds(self, probabilities: Tensor, labels: Tensor) -> Self:
        """Return the task with decisions that were fitted to validation images."""

    def decide(self, probabilities: Tensor) -> Tensor:
        """Return which labels the images are given, bool [n, classes]."""
        return torch.from_numpy(self.decision.decide(probabilities.numpy()))

    def right(self, probabilities: Tensor, labels: Tensor) -> Tensor:
        """Return which images are given their labels and no other, bool [n]."""
        return (self.decide(probabilities) == truth_of(labels, probabilities.shape[1])).all(1)


@dataclass(frozen=True)
class SingleLabelTask(Task):
    """Each image has one label: softmax and cross-entropy."""

    decision: SingleLabel = SINGLE_LABEL

    def activate(self, logits: Tensor) -> Tensor:
        return torch.softmax(logits, dim=1)

    def logits(self, probabilities: Tensor) -> Tensor:
        return probabilities.double().clamp_min(MIN_PROBABILITY).log()

    def loss(self, logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
        return functional.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="sum")

    def hits(self, logits: Tensor, labels: Tensor) -> Tensor:
        return logits.argmax(1) == labels

    def beliefs(self, probabilities: Tensor, labels: Tensor) -> Beliefs:
        confidence, predicted = probabilities.double().max(1)
        return Beliefs(confidence, predicted == labels)

    def quality(self, logits: Tensor, labels: Tensor) -> float:
        """Return macro accuracy."""
        return macro_accuracy(self.decide(logits), truth_of(labels, logits.shape[1]))

    def fit_layer(self, features: Tensor, labels: Tensor, penalty: float, classes: int) -> nn.Linear:
        """Return that of a logistic regression in which each label counts as much as another."""
        regression = balanced_regression(features.numpy(), labels.numpy(), penalty)
        weights, biases = (torch.from_numpy(part).float() for part in (regression.coef_, regression.intercept_))
        if len(regression.classes_) == 2:  # scikit-learn has one row then
            weights, biases = (torch.cat([-part, part]) / 2 for part in (weights, biases))
        head = nn.Linear(features.shape[1], classes).requires_grad_(False)
        head.weight.zero_()
        head.bias.fill_(biases.min() - 10)  # of a label without images
        head.weight[regression.classes_], head.bias[regression.classes_] = weights, biases
        return head

    def with_thresholds(self, probabilities: Tensor, labels: Tensor) -> Self:
        """Return itself: the most probable label is given."""
        return self


@dataclass(frozen=True)
class MultiLabelTask(Task):
    """An image has as many labels as it has, or none: a sigmoid and binary cross-entropy for each."""

    decision: MultiLabel = EVEN_DECISION

    @property
    def set_limits(self) -> list[float]:
        """Those of the decisions: a label that is given is in the set."""
        return self.decision.thresholds

    def activate(self, logits: Tensor) -> Tensor:
        return torch.sigmoid(logits)

    def logits(self, probabilities: Tensor) -> Tensor:
        return torch.logit(probabilities.double(), MIN_PROBABILITY)

    def loss(self, logits: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
        """Return the sum of the images' losses, each the mean over the labels."""
        targets = (1 - smoothing) * labels.to(logits.dtype) + smoothing / 2
        return functional.binary_cross_entropy_with_logits(logits, targets, reduction="sum") / labels.shape[1]

    def hits(self, logits: Tensor, labels: Tensor) -> Tensor:
        return ((logits > 0) == labels).all(1)

    def beliefs(self, probabilities: Tensor, labels: Tensor) -> Beliefs:
        """Return each label's probability for each image, and whether the image has it."""
        return Beliefs(probabilities.double().flatten(), labels.flatten())

    def quality(self, logits: Tensor, labels: Tensor) -> float:
        """Return mean average precision."""
        return mean_average_precision(logits, labels)

    def fit_layer(self, features: Tensor, labels: Tensor, penalty: float, classes: int) -> nn.Linear:
        """Return those of a logistic regression for each label, all fitted at once."""
        head = nn.Linear(features.shape[1], classes)
        for weights in head.parameters():
            nn.init.zeros_(weights)

        def penalized_loss() -> Tensor:
            return classes * self.loss(head(features), labels) + penalty / 2 * head.weight.square().sum()

        minimize(penalized_loss, head.parameters(), MAX_ITERATIONS)
        return head.requires_grad_(False)

    def with_thresholds(self, probabilities: Tensor, labels: Tensor) -> Self:
        """Return the task with the threshold of each label that maximizes the F1 score of its decisions.

        A label with too few images takes the threshold that does so for the decisions about all labels together.
        """
        shared = _f1_threshold(probabilities.flatten(), labels.flatten())
        columns = zip(probabilities.T, labels.T, strict=True)
        own = [_f1_threshold(p, has) if has.sum() >= MIN_POSITIVES else shared for p, has in columns]
        return replace(self, decision=MultiLabel(own))


def balanced_regression(features: NDArray[np.float32], labels: NDArray[np.int64], penalty: float) -> Any:
    """Return scikit-learn's logistic regression in which each label counts as much as another.

    features: [n, count]; labels: [n], of two at least; penalty: of the weights.
    """
    from sklearn.linear_model import LogisticRegression  # here, since most trainings do without it
    from threadpoolctl import threadpool_limits

    regression = LogisticRegression(C=1 / penalty, class_weight="balanced", max_iter=MAX_ITERATIONS)
    with threadpool_limits(1, "blas"):  # with more threads its small products take ten times as long
        return fitted(regression, features, labels)


SINGLE, MULTI = SingleLabelTask(), MultiLabelTask()


def task_of(decision: SingleLabel | MultiLabel) -> Task:
    """Return the task whose decisions are these, which a card has."""
    return MultiLabelTask(decision) if isinstance(decision, MultiLabel) else SINGLE


def macro_accuracy(decided: Tensor, truth: Tensor) -> float:
    """Return the mean over the labels that occur of the share of their images that are given them.

    decided, truth: bool [n, classes].
    """
    shares = (decided & truth).sum(0) / truth.sum(0)
    return float(shares[truth.any(0)].mean())


def mean_average_precision(scores: Tensor, truth: Tensor) -> float:
    """Return the mean over the labels that occur of average precision (mAP), 0 where none does.

    scores, truth: [n, classes].
    """
    from sklearn.metrics import average_precision_score  # here, since most trainings do without it

    occur = truth.any(0)
    if not occur.any():
        return 0.0
    precision = average_precision_score(truth[:, occur].numpy(), scores[:, occur].numpy(), average="macro")
    return min(float(precision), 1.0)  # its sums may be larger by a rounding error, which no card allows


def macro_f1(decided: Tensor, truth: Tensor) -> float:
    """Return the mean over the labels that occur of the F1 score. decided, truth: bool [n, classes]."""
    scores = 2 * (decided & truth).sum(0) / (decided.sum(0) + truth.sum(0))
    return float(scores[truth.any(0)].mean())


def _f1_threshold(probabilities: Tensor, truth: Tensor) -> float:
    """Return the threshold in the middle of the gap between probabilities [n] at which a cut has the best F1 score."""
    if not truth.any():
        return EVEN
    scores, order = probabilities.double().sort(descending=True)
    below = torch.cat([scores[1:], torch.zeros(1)])
    f1 = 2 * truth[order].cumsum(0) / (torch.arange(1, len(scores) + 1) + truth.sum())
    best = int(f1.where(below < scores, -1.0).argmax())  # equal probabilities cannot be cut apart
    low, high = THRESHOLD_RANGE
    return min(max(float(scores[best] + below[best]) / 2, low), high)
