"""python -m training.evaluate: exported files' figures on their test sets, through onnxruntime."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from serving.model.classifier import Classifier
from serving.model.card import ContractError, ModelCard
from training.appraisal import Appraisal, Terms, appraise
from training.datasets import SOURCES
from training.datasets.formats import DataError
from training.datasets.images import Images
from training.datasets.pictures import Folder
from training.graph import Answers
from training.report import appraisal_table

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


def _tell(card: ModelCard, measured: Appraisal, as_json: bool) -> None:
    if as_json:
        print(msgspec.json.encode(_plain(card, measured)).decode())
        return
    print(f"{card.name} {card.version}, on the test images of {card.dataset}")
    Console().print(appraisal_table(measured, card.labels))


def _plain(card: ModelCard, measured: Appraisal) -> dict[str, object]:
    """Return the figures as JSON has them: those that the card calls metrics, and the others by their kind."""
    return {
        **asdict(measured.figures),
        "set_coverage_by_label": dict(zip(card.labels, measured.coverage_by_label, strict=True)),
        "novelty": measured.novelty and asdict(measured.novelty),
        "photos": asdict(measured.photos),
    }


def evaluate(classifier: Classifier, data_dir: Path | None = None, pictures: Path | None = None) -> Appraisal:
    """Measure a model on its test images. Raises DataError when there are none to be had.

    data_dir: where published data is looked for first; pictures: the folder of own images.
    """
    card = classifier.card
    test = _own(classifier, pictures) if pictures else _published(card, data_dir)
    shape = (classifier.height, classifier.width, classifier.channels)
    if test.pixels.shape[1:] != shape:
        found = tuple(test.pixels.shape[1:])
        raise DataError(f"the graph takes images of {shape}, but those of {card.dataset} are {found}")
    threshold = card.novelty.threshold if card.novelty else None
    terms = Terms(card.dataset, card.fit, card.temperature, card.conformal.default.sets, threshold)

    def ask(pixels: NDArray[np.uint8]) -> Answers:
        parts = [classifier.run(pixels[start : start + BATCH]) for start in range(0, len(pixels), BATCH)]
        probabilities = np.concatenate([part.probabilities for part in parts])
        novelties = [part.novelty for part in parts if part.novelty is not None]
        return Answers(probabilities, np.concatenate(novelties) if novelties else None)

    return appraise(ask, terms, test, data_dir, _warn)


def _warn(what: str) -> None:
    print(f"training.evaluate: {what}", file=sys.stderr)


def _published(card: ModelCard, data_dir: Path | None) -> Images:
    dataset = card.dataset
    if dataset not in SOURCES:
        raise DataError(
            f"the test images of {dataset!r} are not known here; there are: {', '.join(SOURCES)}; those of own images "
            "are among what the model was trained on: name that folder with --images DIR"
        )
    return SOURCES[dataset].load(data_dir, card.training.limit or None).test


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
        _warn(f"{pictures} has changed since {card.name} was trained; it may have seen some of its test images")
    return data.test


if __name__ == "__main__":
    sys.exit(main())
