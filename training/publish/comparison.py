"""A new model beside guessing and beside the version that answers, and whether it may take its place."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from serving.model.card import ModelCard
from serving.model.classifier import Classifier
from training.datasets.labelled import LabelledImages, truth_of

STANDARD_ERRORS = 1.645  # of the difference: chance alone makes an equal model that much worse once in 20 times


@dataclass(frozen=True)
class VersionComparison:
    """The accuracies of two versions on test images.

    answering, candidate: their names. before, after: their accuracies, in this order. error: the standard error of the
    difference. granularity: what one image is in accuracy. basis: the images, in words.
    """

    answering: str
    candidate: str
    before: float
    after: float
    error: float
    granularity: float
    basis: str

    @property
    def is_worse(self) -> bool:
        """Whether the candidate is clearly worse: by more than chance explains."""
        return self._is_clear(self.before - self.after)

    def _is_clear(self, difference: float) -> bool:
        return difference - self.granularity > STANDARD_ERRORS * self.error

    def __str__(self) -> str:
        better = "clearly better" if self._is_clear(self.after - self.before) else "no clear difference"
        verdict = "clearly worse" if self.is_worse else better
        return (
            f"{self.candidate} has {self.after:.2%} right, {self.answering} has {self.before:.2%}, {self.basis}: "
            f"{verdict}"
        )


@dataclass(frozen=True)
class Release:
    """Whether a model is published, or kept as a draft.

    publish: what --publish and --no-publish say; None without either. rehearsal: what makes it one; "" for none.
    """

    publish: bool | None = None
    rehearsal: str = ""

    def objection(self, comparison: VersionComparison | None) -> str:
        """Return why a model is kept as a draft; "" where it is published. comparison: None where nothing answers."""
        if self.publish is not None:
            return "" if self.publish else "--no-publish"
        if comparison and self.rehearsal:
            return f"a rehearsal ({self.rehearsal}), while {comparison.answering} answers"
        return f"clearly worse than {comparison.answering}" if comparison and comparison.is_worse else ""


UNLESS_WORSE = Release()


def guessing_note(macro_accuracy: float, labels: Tensor) -> str:
    """Return a note where a model is not clearly better than guessing; "" where it is, and where that cannot be told.

    macro_accuracy: the mean of the labels' own accuracies. labels: those of the test images.
    """
    counts = labels.bincount() if labels.ndim == 1 else labels.new_empty(0)
    counts = counts[counts > 0]
    if len(counts) < 2:
        return ""
    chance = 1 / len(counts)
    error = sqrt(float((chance * (1 - chance) / counts).sum())) / len(counts)
    if macro_accuracy - chance > STANDARD_ERRORS * error:
        return ""
    return (
        f"Not clearly better than guessing: macro accuracy is {macro_accuracy:.0%}, and that of guessing {chance:.0%}. "
        "Check that the images show what their labels say, and add more."
    )


def compare(
    answering: Classifier, candidate: ModelCard, probabilities: Tensor, test: LabelledImages
) -> VersionComparison:
    """Compare a candidate with the version that answers; probabilities: [n, classes] of the candidate.

    That version is asked about the same images; where it takes other ones, or has other labels or another task, the
    cards are compared.
    """
    card, asked = answering.card, test.pixels.shape[1:]
    if card.labels != candidate.labels or bool(card.task) != bool(candidate.task) or asked != answering.shape:
        return compare_cards(card, candidate)
    truth = truth_of(test.labels, len(card.labels)).numpy()
    before = (card.decide(answering.classify(test.pixels.numpy())) == truth).all(1)
    after = (candidate.decide(probabilities.numpy()) == truth).all(1)
    basis = f"on the same {len(truth):,} test images"
    if card.training.data_sha256 != candidate.training.data_sha256:
        basis += f", of which version {card.version} may have learned some, since it was trained on other images"
    return _of(card, candidate, before, after, basis)


def compare_cards(answering: ModelCard, candidate: ModelCard) -> VersionComparison:
    """Compare the accuracies that two cards give, each on its own test images."""
    before, after = answering.metrics, candidate.metrics
    error = sqrt(sum(m.accuracy * (1 - m.accuracy) / m.n for m in (before, after)))
    basis = f"by their cards, on {after.n:,} and {before.n:,} test images"
    return VersionComparison(
        _name(answering), _name(candidate), before.accuracy, after.accuracy, error, 1 / after.n, basis
    )


def _of(
    answering: ModelCard, candidate: ModelCard, before: NDArray[np.bool_], after: NDArray[np.bool_], basis: str
) -> VersionComparison:
    """Compare by which images each has right: only those that one of them alone has right tell them apart (McNemar)."""
    n, differ = len(before), int((before != after).sum())
    accuracies = float(before.mean()), float(after.mean())
    return VersionComparison(_name(answering), _name(candidate), *accuracies, sqrt(differ) / n, 1 / n, basis)


def _name(card: ModelCard) -> str:
    return f"version {card.version}"
