"""python -m benchmarks.conformal: four ways to make label sets, side by side on validation images.

LAC (least ambiguous set-valued classifiers; Sadinle, Lei and Wasserman 2019) takes all labels above a threshold, one
for all labels or one for each, which is what the exporter fits. APS (adaptive prediction sets; Romano, Sesia and Candès
2020) takes the most probable labels until they add up to a threshold. RAPS (regularized APS; Angelopoulos et al. 2021)
adds a penalty for each label beyond the first. APS and RAPS are randomized as in their papers: without that their sets
are far too large here. Half of the validation images, drawn anew each time, set the threshold; the sets are measured on
the other half. The test images have no part in it. The figures are means: labels in a set, share of sets that hold the
true label, and the lowest such share of a label.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.newest import model_names, newest
from serving.model.classifier import Classifier
from training.datasets.domains import SOURCES
from training.datasets.formats import DataError
from training.pipeline import split
from training.recipes import RECIPES

COVERAGE = 0.95
RANDOM_SPLITS = 20
BATCH = 500
PENALTY, FREE_LABELS = 0.05, 1  # of RAPS: for each label beyond the first

Floats = NDArray[np.float64]
# Scores of the labels, from probabilities [n, classes] and a random number for each image [n, 1].
Scores = Callable[[Floats, Floats], Floats]
Labels = NDArray[np.int64]


def lac(probabilities: Floats, random: Floats) -> Floats:
    """Return 1 minus the probability of each label."""
    return 1 - probabilities


def aps(probabilities: Floats, random: Floats, penalty: float = 0.0) -> Floats:
    """Return the total probability of all labels more probable than each, plus a random part of its own."""
    order = np.argsort(-probabilities, axis=1)
    ranked = np.take_along_axis(probabilities, order, 1)
    ranks = np.arange(1, probabilities.shape[1] + 1)
    scores = ranked.cumsum(1) - random * ranked + penalty * np.maximum(0, ranks - FREE_LABELS)
    unranked: Floats = np.empty_like(scores)
    np.put_along_axis(unranked, order, scores, 1)
    return unranked


def raps(probabilities: Floats, random: Floats) -> Floats:
    """Return the scores of APS with a penalty for each label beyond the first."""
    return aps(probabilities, random, PENALTY)


METHODS = {"lac": (lac, False), "lac by label": (lac, True), "aps": (aps, False), "raps": (raps, False)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare the four on each model of a folder."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.conformal", description="Compare ways to make sets.")
    parser.add_argument("--models-dir", type=Path, default=Path("models"))
    parser.add_argument("--data-dir", type=Path, help="where to look for the data first")
    options = parser.parse_args(arguments)
    try:
        _compare_models(options)
    except DataError as error:
        parser.exit(1, f"benchmarks.conformal: {error}\n")


def _compare_models(options: argparse.Namespace) -> None:
    """Print the table. Raises DataError where a data set is not there."""
    table = Table(
        "Model", "Sets", "Labels", "Coverage", "Lowest", title=f"Sets of {COVERAGE:.0%} coverage, on validation images"
    )
    for model in model_names(options.models_dir):
        classifier = Classifier.open(newest(options.models_dir, model))
        if classifier.card.name not in RECIPES:
            continue
        data = SOURCES[classifier.card.dataset].load(options.data_dir)
        validation = split(RECIPES[classifier.card.name], data)[1]
        parts = [classifier.classify(part.numpy()) for part in validation.pixels.split(BATCH)]
        probabilities = np.concatenate(parts).astype(np.float64)
        for name, method in METHODS.items():
            size, coverage, lowest = compare(*method, probabilities, validation.labels.numpy())
            table.add_row(classifier.card.name, name, f"{size:.3f}", f"{coverage:.4f}", f"{lowest:.3f}")
    Console().print(table)


def compare(method: Scores, by_label: bool, probabilities: Floats, labels: Labels) -> tuple[float, float, float]:
    """Return mean size, coverage and lowest coverage of a label over all splits."""
    random = np.random.default_rng(0)
    scores = method(probabilities, random.random((len(labels), 1)))
    figures = []
    for _ in range(RANDOM_SPLITS):
        fitted, measured = np.array_split(random.permutation(len(labels)), 2)
        sets = scores[measured] <= thresholds(scores[fitted], labels[fitted], by_label)
        empty = ~sets.any(1)
        sets[empty, probabilities[measured][empty].argmax(1)] = True
        covered = sets[np.arange(len(measured)), labels[measured]]
        lowest = min(covered[labels[measured] == label].mean() for label in np.unique(labels))
        figures.append((sets.sum(1).mean(), covered.mean(), lowest))
    size, coverage, lowest = np.mean(figures, axis=0)
    return float(size), float(coverage), float(lowest)


def thresholds(scores: Floats, labels: Labels, by_label: bool) -> list[float]:
    """Return the highest score that is in a set, for each label."""
    truth = scores[np.arange(len(labels)), labels]
    groups = [truth[labels == label] if by_label else truth for label in range(scores.shape[1])]
    return [float(np.sort(group)[int(np.ceil((len(group) + 1) * COVERAGE)) - 1]) for group in groups]


if __name__ == "__main__":
    main()
