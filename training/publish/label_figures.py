"""The figures of each label on the test images, for the README of a model."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from serving.model.card import ModelCard
from training.evaluation.calibration import confusion


class LabelFigures(NamedTuple):
    """Of a label: the test images that have it, those given it, and those that are both.

    coverage: the share of its images whose set holds it. remark: what else a reader should know, in a few words.
    """

    label: str
    images: int
    given: int
    right: int
    coverage: float
    remark: str


def of_confusion(
    labels: Sequence[str], confusion: Sequence[Sequence[int]], coverage: Sequence[float]
) -> list[LabelFigures]:
    """Return the figures of each label; the remark: what its images were most often taken for.

    confusion: counts of test images, by true label (row) and predicted label (column).
    """
    figures = []
    for index, (label, row) in enumerate(zip(labels, confusion, strict=True)):
        wrong = {labels[other]: count for other, count in enumerate(row) if count and other != index}
        worst = sorted(wrong, key=lambda other: -wrong[other])[:2]
        confused = ", ".join(f"{other} ({wrong[other]})" for other in worst) or "none"
        given = sum(other[index] for other in confusion)
        figures.append(LabelFigures(label, sum(row), given, row[index], coverage[index], confused))
    return figures


def label_figures(
    card: ModelCard, probabilities: Tensor, labels: Tensor, coverage: Sequence[float]
) -> list[LabelFigures]:
    """Return the figures of each label; of a multi-label model the remark is the threshold from which on it is given.

    probabilities, labels: of the test images. coverage: of each label.
    """
    if not card.task:
        return of_confusion(card.labels, confusion(probabilities, labels).tolist(), coverage)
    decided = torch.from_numpy(card.decide(probabilities.numpy()))
    counts = [each.sum(0).tolist() for each in (labels, decided, labels & decided)]
    remarks = [f"{threshold:.3f}" for threshold in card.task.thresholds]
    return [LabelFigures(*row) for row in zip(card.labels, *counts, coverage, remarks, strict=True)]
