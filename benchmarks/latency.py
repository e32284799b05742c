"""python -m benchmarks.latency: the time for one image on one core, from upload to answer, stage by stage.

The same PNG of the input's own size is classified again and again, without HTTP. The figures are medians in
milliseconds. No other stage can become faster than the graph's share allows. Explaining an image takes a batch of some
sixty of them.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from serving.concurrency import SerialExecutor
from serving.imaging.decoding import PixelBudget, decode, read_header
from serving.imaging.png import to_png
from serving.inference.occlusion import explain, overlay
from serving.inference.options import PredictOptions
from serving.inference.predictor import Predictor
from serving.model.classifier import Classifier
from serving.repository.repository import Repository
from serving.telemetry.telemetry import Telemetry

MAX_PIXELS = 1_000_000  # more than any image here has


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every model of a folder and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description=main.__doc__)
    parser.add_argument("--models-dir", type=Path, default=Path("models"))
    parser.add_argument("--rounds", type=int, default=2_000, help="images for each figure (default 2000)")
    parser.add_argument(
        "--compare", type=Path, nargs="+", metavar="FILE", help="compare the graphs of these model files instead"
    )
    options = parser.parse_args(arguments)
    if options.compare:
        Console().print(comparison(options.compare, options.rounds))
        return
    repository = Repository(options.models_dir)
    table = Table(
        "Model",
        "Decode ms",
        "Graph ms",
        "Upload to answer ms",
        "Graph's share",
        "Explain ms",
        title="One image, one core",
    )
    for column in table.columns[1:]:
        column.justify = "right"
    predictor = Predictor(repository, MAX_PIXELS, SerialExecutor(timeout=1.0), Telemetry())
    for classifier in repository.ready():
        decoding, graph, whole = stages(classifier, predictor, options.rounds)
        explaining = explanation(classifier, max(1, options.rounds // 100))
        table.add_row(
            classifier.card.name,
            f"{decoding:.3f}",
            f"{graph:.3f}",
            f"{whole:.3f}",
            f"{graph / whole:.0%}",
            f"{explaining:.1f}",
        )
    Console().print(table)


def comparison(files: Sequence[Path], rounds: int) -> Table:
    """Return a table of the graphs' medians for one image each, and their ratios to the first file's.

    The graphs take turns, and the time is the thread's own, so that a busy machine treats all alike.
    """
    classifiers = [Classifier.open(file) for file in files]
    seconds: list[list[float]] = [[] for _ in files]
    for _ in range(rounds):
        for classifier, times in zip(classifiers, seconds, strict=True):
            batch = classifier.card.golden[0].pixels()[None]
            start = time.thread_time()
            classifier.classify(batch)
            times.append(time.thread_time() - start)
    medians = [1_000 * statistics.median(times) for times in seconds]
    table = Table("File", "Graph ms", "Of the first", title="One image, one core")
    for file, median in zip(files, medians, strict=True):
        table.add_row(str(file), f"{median:.3f}", f"{median / medians[0]:.3f}")
    return table


def stages(classifier: Classifier, predictor: Predictor, rounds: int) -> tuple[float, float, float]:
    """Return the medians, in milliseconds, of decoding, of the graph and of the whole."""
    pixels = np.random.default_rng(0).integers(0, 256, classifier.shape, np.uint8)
    upload, batch = to_png(pixels), pixels[None]
    options = PredictOptions(classifier.card.name)
    return (
        median_ms(lambda: decode(read_header(upload, PixelBudget(MAX_PIXELS))), rounds),
        median_ms(lambda: classifier.classify(batch), rounds),
        median_ms(lambda: predictor.predict([upload], options), rounds),
    )


def explanation(classifier: Classifier, rounds: int) -> float:
    """Return the median, in milliseconds, of explaining an image of the input's size, its overlay included."""
    pixels = np.random.default_rng(0).integers(0, 256, classifier.shape, np.uint8)
    size = classifier.width, classifier.height
    return median_ms(lambda: overlay(explain(classifier, pixels).heat, (0, 0, *size), size), rounds)


def median_ms(action: Callable[[], object], rounds: int) -> float:
    """Return the median time of an action in milliseconds, after a tenth as many rounds to warm up."""
    seconds = []
    for number in range(-rounds // 10, rounds):
        start = time.perf_counter()
        action()
        if number >= 0:
            seconds.append(time.perf_counter() - start)
    return 1_000 * statistics.median(seconds)


if __name__ == "__main__":
    main()
