"""python -m training.evaluate: an exported file's figures on its test set, through onnxruntime."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import msgspec
import numpy as np
import torch
from rich.console import Console

from serving.classifier import Classifier
from serving.contract import ContractError
from training.calibrate import Figures, figures
from training.datasets import SOURCES
from training.formats import DataError
from training.report import figures_table

BATCH = 1_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate one file; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluate", description="Print a file's figures on its test set."
    )
    parser.add_argument("file", type=Path, metavar="FILE.onnx", help="an exported model")
    parser.add_argument("--data-dir", type=Path, help="where to look for the data first")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    try:
        classifier = Classifier.open(options.file)
        measured = evaluate(classifier, options.data_dir)
    except (ContractError, DataError) as error:
        print(f"training.evaluate: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(msgspec.json.encode(measured).decode())
    else:
        card = classifier.card
        print(f"{card.name} {card.version}, on the test images of {card.dataset}")
        Console().print(figures_table("Test, as served", asdict(measured)))
    return 0


def evaluate(classifier: Classifier, data_dir: Path | None = None) -> Figures:
    """Return the figures that the card calls metrics. Raises DataError when there are no test images to be had."""
    dataset = classifier.card.dataset
    if dataset not in SOURCES:
        raise DataError(f"the test images of {dataset!r} are not known here; there are: {', '.join(SOURCES)}")
    test = SOURCES[dataset].load(data_dir).test
    shape = (classifier.height, classifier.width, classifier.channels)
    if test.pixels.shape[1:] != shape:
        raise DataError(f"the graph takes images of {shape}, but those of {dataset} are {tuple(test.pixels.shape[1:])}")
    batches = [classifier.classify(pixels.numpy()) for pixels in test.pixels.split(BATCH)]
    return figures(torch.from_numpy(np.concatenate(batches)), test.labels)


if __name__ == "__main__":
    sys.exit(main())
