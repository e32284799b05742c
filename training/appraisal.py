"""What an exported graph is worth: everything that its card, its README and training.evaluate say of it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor

from training.calibrate import Figures, coverage_by_label, figures
from training.datasets.foreign import COUNT, Known, Tell, foreign_sets
from training.datasets.images import Images
from training.datasets.photos import photographed
from training.graph import Answers

PHOTOGRAPHED = 2_000  # test images: their accuracy moves by less than half a point from one such lot to another

Pixels = NDArray[np.uint8]
Ask = Callable[[Pixels], Answers]
Sets = Callable[[NDArray[np.float32]], NDArray[np.bool_]]


@dataclass(frozen=True)
class Terms:
    """What a graph's answers are read with, all of it fitted on held-out images.

    fit: how an upload becomes the input. sets: from probabilities [n, classes] to label sets, bool [n, classes].
    novelty: the threshold of the score of novelty, where the graph has one.
    """

    dataset: str
    fit: str
    temperature: float
    sets: Sets
    novelty: float | None


@dataclass(frozen=True)
class PhotoFigures:
    """Accuracy on n test images made into photos, and on the same images untouched."""

    accuracy: float
    untouched: float
    n: int


@dataclass(frozen=True)
class NoveltyFigures:
    """share: of the test images that are called novel. auroc: of telling foreign images from them, set by set."""

    share: float
    auroc: Mapping[str, float]


@dataclass(frozen=True)
class Appraisal:
    """All figures of a graph on test images; novelty is None where the graph has no such output."""

    figures: Figures
    coverage_by_label: list[float]
    novelty: NoveltyFigures | None
    photos: PhotoFigures
    probabilities: Tensor


def appraise(ask: Ask, terms: Terms, test: Images, data_dir: Path | None, tell: Tell) -> Appraisal:
    """Measure a graph on its test images. tell: is told what could not be measured."""
    answers = ask(test.pixels.numpy())
    probabilities = torch.from_numpy(answers.probabilities)
    sets = torch.from_numpy(terms.sets(answers.probabilities))
    known = Known(terms.dataset, test.pixels.numpy(), terms.fit)
    return Appraisal(
        figures(probabilities, test.labels, terms.temperature, sets),
        coverage_by_label(sets, test.labels),
        _novelty(ask, answers, terms.novelty, foreign_sets(known, data_dir, tell)),
        _photos(ask, probabilities, terms, test),
        probabilities,
    )


def _novelty(
    ask: Ask, answers: Answers, threshold: float | None, sets: Iterator[tuple[str, Pixels]]
) -> NoveltyFigures | None:
    if threshold is None or answers.novelty is None:
        return None
    known, auroc = answers.novelty[:COUNT], {}
    for name, pixels in sets:
        foreign = ask(pixels).novelty
        is_foreign = np.repeat([False, True], [len(known), len(pixels)])
        auroc[name] = float(roc_auc_score(is_foreign, np.concatenate([known, foreign])))
    return NoveltyFigures(float((answers.novelty > threshold).mean()), auroc)


def _photos(ask: Ask, untouched: Tensor, terms: Terms, test: Images) -> PhotoFigures:
    some = test.take(slice(PHOTOGRAPHED))
    given = torch.from_numpy(ask(photographed(some.pixels.numpy(), terms.fit)).probabilities)
    right, before = ((p.argmax(1) == some.labels).double().mean() for p in (given, untouched[:PHOTOGRAPHED]))
    return PhotoFigures(float(right), float(before), len(some))
