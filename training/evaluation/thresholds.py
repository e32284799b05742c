"""Thresholds of an exported graph, fitted on validation images."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from serving.model.card import Reference, Spread
from serving.model.conformal import Conformal, Level
from training.datasets.labelled import LabelledImages
from training.evaluation.calibration import conformal_thresholds
from training.evaluation.evaluate_graph import Predict
from training.networks.novelty import FLAGGED_SHARE
from training.recipe import Recipe
from training.task import Task

DEFAULT_COVERAGE = 0.95  # of the label sets, unless a client asks for another
COVERAGES = tuple(percent / 100 for percent in range(80, 100))


@dataclass(frozen=True)
class Calibration:
    """Thresholds and drift baseline, fitted on validation images.

    task: with its decisions. novelty: the threshold; None where the graph has no such output.
    """

    task: Task
    conformal: Conformal
    novelty: float | None
    reference: Reference

    @classmethod
    def of(
        cls, predict: Predict, validation: LabelledImages, recipe: Recipe, photos: Tensor | None = None
    ) -> "Calibration":
        """Fit them to a graph's outputs for the validation images, and for photos of them where the recipe says so."""
        outputs, task = predict(validation.pixels.numpy()), recipe.task
        task = task.with_thresholds(torch.from_numpy(outputs.probabilities), validation.labels)
        familiar, flagged = outputs.novelty, FLAGGED_SHARE
        if photos is not None:
            familiar, flagged = predict(photos.numpy()).novelty, recipe.flagged_photos
        return cls(
            task,
            _conformal(torch.from_numpy(outputs.probabilities), validation.labels, task),
            None if familiar is None else float(np.quantile(familiar, 1 - flagged)),
            _reference(validation.pixels.numpy(), outputs.probabilities.astype(np.float64), task),
        )

    def sets(self, probabilities: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return which labels are in the sets of the default coverage: bool [n, classes]."""
        return self.conformal.default.sets(probabilities, self.task.decision)


def _conformal(probabilities: Tensor, labels: Tensor, task: Task) -> Conformal:
    fitted = [conformal_thresholds(probabilities, labels, coverage) for coverage in COVERAGES]
    # A label may have its own threshold at low coverage and the shared one at high coverage: the running minimum keeps
    # the sets nested.
    thresholds = np.minimum.accumulate(np.minimum(fitted, task.set_limits), axis=0).tolist()
    levels = [Level(coverage, threshold) for coverage, threshold in zip(COVERAGES, thresholds, strict=True)]
    default = levels[COVERAGES.index(DEFAULT_COVERAGE)]
    return Conformal(coverage=default.coverage, threshold=default.threshold, levels=levels)


def _reference(pixels: NDArray[np.uint8], probabilities: NDArray[np.float64], task: Task) -> Reference:
    counts = task.decision.decide(probabilities).sum(0)
    return Reference(
        labels=[float(share) for share in counts / max(1, counts.sum())],
        brightness=_spread(pixels.reshape(len(pixels), -1).mean(1) / 255),
        top_probability=_spread(probabilities.max(1)),
        entropy=_spread(task.decision.entropies(probabilities)),
    )


def _spread(values: NDArray[np.float64]) -> Spread:
    return Spread(float(values.mean()), float(values.std()))
