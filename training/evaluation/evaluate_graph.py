"""Evaluate an exported graph: all metrics that its card, its README and training.evaluate give."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor

from serving.model.classifier import Outputs
from serving.model.metrics import Corrupted, ModelMetrics, Photos
from training.datasets.labelled import LabelledImages, truth_of
from training.datasets.pixels import Pixels
from training.evaluation.calibration import (
    compute_metrics,
    coverage_by_label,
    expected_calibration_error,
    share_covered,
)
from training.evaluation.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from training.evaluation.ood_sets import KnownImages, ood_sets
from training.progress import stage, track
from training.sample_sizes import FULL_SIZE, SampleSizes
from training.task import SINGLE, Task, macro_accuracy

Predict = Callable[[Pixels], Outputs]
LabelSets = Callable[[NDArray[np.float32]], NDArray[np.bool_]]


@dataclass(frozen=True)
class EvaluationInputs:
    """A graph's data set, and the calibration of its outputs, which was fitted on validation images.

    fit: how an upload becomes the input. sets: from probabilities [n, classes] to label sets, bool [n, classes].
    novelty: the threshold of the novelty score; None where the graph has no such output. task: with its decisions.
    """

    dataset: str
    fit: str
    temperature: float
    sets: LabelSets
    novelty: float | None
    task: Task = SINGLE


@dataclass(frozen=True)
class NoveltyMetrics:
    """share: of the test images that are called novel. auroc: by out-of-distribution set.

    AUROC is the area under the receiver operating characteristic curve: how well the score separates the two.
    """

    share: float
    auroc: Mapping[str, float]


@dataclass(frozen=True)
class Evaluation:
    """All metrics of a graph on test images.

    macro_accuracy: the mean of the labels' own. probabilities: [n, classes]. novelty_scores: [n]; None, as novelty is,
    where the graph has no such output. corrupted: None where it was not measured.
    """

    metrics: ModelMetrics
    macro_accuracy: float
    coverage_by_label: list[float]
    novelty: NoveltyMetrics | None
    photos: Photos
    probabilities: Tensor
    corrupted: Corrupted | None = None
    novelty_scores: NDArray[np.float32] | None = None


def evaluate_graph(
    predict: Predict,
    inputs: EvaluationInputs,
    test: LabelledImages,
    photos: Pixels,
    data_dir: Path | None,
    warn: Callable[[str], None],
    sizes: SampleSizes = FULL_SIZE,
) -> Evaluation:
    """Evaluate a graph on its test images, and on photos of the first of them.

    warn: gets a message for each set that is not available.
    """
    stage(f"Evaluating on {len(test):,} test images")
    outputs = predict(test.pixels.numpy())
    probabilities = torch.from_numpy(outputs.probabilities)
    sets = torch.from_numpy(inputs.sets(outputs.probabilities))
    known, task = KnownImages(inputs.dataset, test.pixels.numpy(), inputs.fit), inputs.task
    return Evaluation(
        compute_metrics(probabilities, test.labels, inputs.temperature, sets, task),
        macro_accuracy(task.decide(probabilities), truth_of(test.labels, probabilities.shape[1])),
        coverage_by_label(sets, test.labels),
        _novelty(predict, outputs, inputs.novelty, ood_sets(known, data_dir, warn, sizes.ood_set), sizes.ood_set),
        _photos(predict, photos, probabilities, test.labels, task),
        probabilities,
        _corrupted(predict, inputs, test, min(sizes.corrupted, len(test))) if sizes.corrupted else None,
        outputs.novelty,
    )


def _corrupted(predict: Predict, inputs: EvaluationInputs, test: LabelledImages, size: int) -> Corrupted:
    """Measure each severity of each corruption on the next images of the test set, which begins again at its end."""
    pixels, outputs, labels = test.pixels.numpy(), [], []
    corruptions = list(product(CORRUPTIONS, SEVERITIES))
    tracked = track("Evaluating on corrupted images", corruptions, len(corruptions))
    for number, (name, severity) in enumerate(tracked):
        places = (number * size + np.arange(size)) % len(test)
        corrupted = corrupt(pixels[places], name, severity, np.random.default_rng(number))
        outputs.append(predict(corrupted).probabilities)
        labels.append(test.labels[places])
    probabilities, truth = torch.from_numpy(np.concatenate(outputs)), torch.cat(labels)
    right, sets = inputs.task.right(probabilities, truth).double(), torch.from_numpy(inputs.sets(probabilities.numpy()))
    by_corruption = right.view(len(CORRUPTIONS), -1).mean(1).tolist()
    return Corrupted(
        accuracy=float(right.mean()),
        ece=expected_calibration_error(probabilities, truth, task=inputs.task),
        set_coverage=share_covered(sets, truth),
        n=len(truth),
        by_corruption=dict(zip(CORRUPTIONS, by_corruption, strict=True)),
    )


def _novelty(
    predict: Predict, outputs: Outputs, threshold: float | None, sets: Iterator[tuple[str, Pixels]], size: int
) -> NoveltyMetrics | None:
    if threshold is None or outputs.novelty is None:
        return None
    known, auroc = outputs.novelty[:size], {}
    for name, pixels in sets:
        stage(f"Evaluating on {name}")
        unknown = predict(pixels).novelty
        is_unknown = np.repeat([False, True], [len(known), len(pixels)])
        auroc[name] = float(roc_auc_score(is_unknown, np.concatenate([known, unknown])))
    return NoveltyMetrics(float((outputs.novelty > threshold).mean()), auroc)


def _photos(predict: Predict, photos: Pixels, untouched: Tensor, labels: Tensor, task: Task) -> Photos:
    stage(f"Evaluating on {len(photos):,} photos")
    n = len(photos)
    as_photos = torch.from_numpy(predict(photos).probabilities)
    accuracy, before = (task.right(p, labels[:n]).double().mean() for p in (as_photos, untouched[:n]))
    return Photos(accuracy=float(accuracy), untouched=float(before), n=n)
