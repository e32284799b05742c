"""python -m benchmarks.latency: what one image costs on one core, from upload to answer, stage by stage.

An image of the input's own size, PNG-encoded, is answered again and again with no HTTP around it; the figures are
medians in milliseconds. The graph's share of the whole is the limit that nothing around it can beat. To explain an
image takes a batch of some sixty of it.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from prometheus_client import CollectorRegistry
from rich.console import Console
from rich.table import Table

from serving.inference.predictor import Desk
from serving.concurrency import OneByOne
from serving.model.classifier import Classifier
from serving.imaging.decoding import PixelBudget, decode, read_header
from serving.inference.occlusion import explain, overlay
from serving.imaging.png import to_png
from serving.inference.options import Question
from serving.repository.repository import Repository
from serving.telemetry.prediction_metrics import Drift
from serving.telemetry.metrics import Metrics

PIXELS = 1_000_000  # more than any image here has


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure every model of a folder and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description=main.__doc__)
    parser.add_argument("--models-dir", type=Path, default=Path("models"))
    parser.add_argument("--rounds", type=int, default=2_000, help="images answered for each figure (default 2000)")
    options = parser.parse_args(arguments)
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
    desk = Desk(repository, PIXELS, Drift(Metrics(CollectorRegistry())), OneByOne(1.0))
    for classifier in repository.ready():
        decoding, graph, whole = stages(classifier, desk, options.rounds)
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


def stages(classifier: Classifier, desk: Desk, rounds: int) -> tuple[float, float, float]:
    """Return the medians, in milliseconds, of decoding, of the graph and of the whole way."""
    shape = (classifier.height, classifier.width, classifier.channels)
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    upload, batch = to_png(pixels), pixels[None]
    question = Question(classifier.card.name)
    return (
        median_ms(lambda: decode(read_header(upload, PixelBudget(PIXELS))), rounds),
        median_ms(lambda: classifier.classify(batch), rounds),
        median_ms(lambda: desk.answer([upload], question), rounds),
    )


def explanation(classifier: Classifier, rounds: int) -> float:
    """Return the median, in milliseconds, of explaining an image of the input's size, its overlay included."""
    shape = (classifier.height, classifier.width, classifier.channels)
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    size = shape[1::-1]
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
