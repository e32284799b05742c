"""python -m benchmarks.conformal: three ways to make label sets, side by side on held-out images.

LAC takes the labels that are probable enough (Sadinle, Lei and Wasserman 2019); APS takes the most probable until they
add up to enough (Romano, Sesia and Candès 2020); RAPS does so too and makes each label beyond the first dearer
(Angelopoulos et al. 2021). APS and RAPS are randomised, as their papers have them: without that their sets are far too
large here. Half of the held-out images, drawn anew each time, set the threshold and the other half are measured on; the
test images have no part in it. The figures are means: labels in a set, share of sets that hold the truth, and that
share for the label for which it is least.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from serving.model.classifier import Classifier
from training.datasets.builtin import SOURCES
from training.pipeline import split
from training.recipes import RECIPES

COVERAGE = 0.95
SPLITS = 20
BATCH = 500
PENALTY, FREE = 0.05, 1  # of RAPS: for each label beyond the first

Floats = NDArray[np.float64]
Scores = Callable[
    [Floats, Floats], Floats
]  # of each label, from probabilities [n, classes] and a random number each [n, 1]


def lac(probabilities: Floats, random: Floats) -> Floats:
    """Return how improbable each label is."""
    return 1 - probabilities


def aps(probabilities: Floats, random: Floats, penalty: float = 0.0) -> Floats:
    """Return the probability of all labels more probable than each, and of a random part of its own."""
    order = np.argsort(-probabilities, axis=1)
    ranked = np.take_along_axis(probabilities, order, 1)
    ranks = np.arange(1, probabilities.shape[1] + 1)
    scores = ranked.cumsum(1) - random * ranked + penalty * np.maximum(0, ranks - FREE)
    unranked: Floats = np.empty_like(scores)
    np.put_along_axis(unranked, order, scores, 1)
    return unranked


def raps(probabilities: Floats, random: Floats) -> Floats:
    """Return the same with a penalty for each label beyond the first."""
    return aps(probabilities, random, PENALTY)


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare the three on each model of a folder."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.conformal", description="Compare ways to make sets.")
    parser.add_argument("--models-dir", type=Path, default=Path("models"))
    parser.add_argument("--data-dir", type=Path, help="where to look for the data first")
    options = parser.parse_args(arguments)
    table = Table("Model", "Sets", "Labels", "Coverage", "Least", title=f"Sets of {COVERAGE:.0%} coverage, held out")
    for file in sorted(options.models_dir.glob("*/1/model.onnx")):
        classifier = Classifier.open(file)
        if classifier.card.name not in RECIPES:
            continue
        data = SOURCES[classifier.card.dataset].load(options.data_dir)
        held = split(RECIPES[classifier.card.name], data)[1]
        parts = [classifier.classify(part.numpy()) for part in held.pixels.split(BATCH)]
        probabilities = np.concatenate(parts).astype(np.float64)
        for method in (lac, aps, raps):
            size, coverage, least = compare(method, probabilities, held.labels.numpy())
            table.add_row(classifier.card.name, method.__name__, f"{size:.3f}", f"{coverage:.4f}", f"{least:.3f}")
    Console().print(table)


def compare(method: Scores, probabilities: Floats, labels: NDArray[np.int64]) -> tuple[float, float, float]:
    """Return mean size, coverage and least coverage of a label over all splits."""
    random = np.random.default_rng(0)
    scores = method(probabilities, random.random((len(labels), 1)))
    figures = []
    for _ in range(SPLITS):
        fitted, measured = np.array_split(random.permutation(len(labels)), 2)
        rank = int(np.ceil((len(fitted) + 1) * COVERAGE))
        threshold = np.sort(scores[fitted, labels[fitted]])[rank - 1]
        sets = scores[measured] <= threshold
        sets[np.arange(len(measured)), probabilities[measured].argmax(1)] = True  # no set is empty
        covered = sets[np.arange(len(measured)), labels[measured]]
        least = min(covered[labels[measured] == label].mean() for label in np.unique(labels))
        figures.append((sets.sum(1).mean(), covered.mean(), least))
    size, coverage, least = np.mean(figures, axis=0)
    return float(size), float(coverage), float(least)


if __name__ == "__main__":
    main()
