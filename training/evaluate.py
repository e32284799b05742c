"""python -m training.evaluate: exported files' figures on their test sets, through onnxruntime."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import msgspec
import numpy as np
import torch
from rich.console import Console

from serving.classifier import Classifier
from serving.contract import ContractError, ModelCard
from training.calibrate import Figures, figures
from training.datasets import SOURCES, Images
from training.formats import DataError
from training.pictures import Folder
from training.report import figures_table

BATCH = 1_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate each file; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluate", description="Print the figures of exported models on their test sets."
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.onnx", help="an exported model")
    parser.add_argument("--data-dir", type=Path, help="where to look for the data first")
    parser.add_argument("--images", type=Path, metavar="DIR", help="the own images that the model was trained on")
    parser.add_argument("--json", action="store_true", help="print JSON, an object a line for each file")
    options = parser.parse_args(arguments)
    try:
        for file in options.files:
            classifier = Classifier.open(file)
            _tell(classifier.card, evaluate(classifier, options.data_dir, options.images), options.json)
    except (ContractError, DataError) as error:
        print(f"training.evaluate: {error}", file=sys.stderr)
        return 1
    return 0


def _tell(card: ModelCard, measured: Figures, as_json: bool) -> None:
    if as_json:
        print(msgspec.json.encode(measured).decode())
        return
    print(f"{card.name} {card.version}, on the test images of {card.dataset}")
    Console().print(figures_table("Test, as served", asdict(measured)))


def evaluate(classifier: Classifier, data_dir: Path | None = None, pictures: Path | None = None) -> Figures:
    """Return the figures that the card calls metrics. Raises DataError when there are no test images to be had.

    data_dir: where published data is looked for first; pictures: the folder of own images.
    """
    dataset = classifier.card.dataset
    test = _own(classifier, pictures) if pictures else _published(dataset, data_dir)
    shape = (classifier.height, classifier.width, classifier.channels)
    if test.pixels.shape[1:] != shape:
        raise DataError(f"the graph takes images of {shape}, but those of {dataset} are {tuple(test.pixels.shape[1:])}")
    batches = [classifier.classify(pixels.numpy()) for pixels in test.pixels.split(BATCH)]
    return figures(torch.from_numpy(np.concatenate(batches)), test.labels)


def _published(dataset: str, data_dir: Path | None) -> Images:
    if dataset not in SOURCES:
        raise DataError(
            f"the test images of {dataset!r} are not known here; there are: {', '.join(SOURCES)}; those of own images "
            "are among what the model was trained on: name that folder with --images DIR"
        )
    return SOURCES[dataset].load(data_dir).test


def _own(classifier: Classifier, pictures: Path) -> Images:
    """Return the test images that a folder was split into when the model was trained on it."""
    card = classifier.card
    if card.dataset in SOURCES:
        raise DataError(f"{card.name} was not trained on own images but on {card.dataset}; leave --images out")
    folder = Folder.open(pictures, card.name)
    if list(folder.labels) != card.labels:
        raise DataError(f"{pictures} has the labels {', '.join(folder.labels)}; {card.name}: {', '.join(card.labels)}")
    limit = card.training.limit
    data = replace(folder, side=classifier.height, channels=classifier.channels).load(limit=limit or None)
    if data.train.sha256() != card.training.data_sha256:
        print(
            f"training.evaluate: {pictures} has changed since {card.name} was trained; it may have seen some "
            "of its test images",
            file=sys.stderr,
        )
    return data.test


if __name__ == "__main__":
    sys.exit(main())
