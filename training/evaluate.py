"""python -m training.evaluate: the metrics of exported files on their test sets, through onnxruntime."""

from training.command import exit_status, quit_on_ctrl_c

if __name__ == "__main__":
    quit_on_ctrl_c()

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec
from rich.console import Console

from serving.model.card import ContractError, ModelCard
from serving.model.classifier import Classifier
from training.datasets.domains import SOURCES
from training.datasets.formats import DataError
from training.datasets.image_file import printable
from training.datasets.image_folder import ImageFolder
from training.datasets.labelled import LabelledImages
from training.datasets.left_out import shortened
from training.evaluation.evaluate_graph import (
    Evaluation,
    EvaluationInputs,
    evaluate_graph,
)
from training.evaluation.photo_shift import to_photos
from training.progress import stage
from training.recipes import RECIPES
from training.report import evaluation_table
from training.sample_sizes import FULL_SIZE, OWN_IMAGES_SIZE, SampleSizes
from training.task import task_of

REFUSALS = (ContractError, DataError, OSError)


def main(arguments: Sequence[str] | None = None, sizes: SampleSizes = FULL_SIZE) -> int:
    """Evaluate each file; returns the exit status. sizes: of the samples that the evaluation takes."""
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluate", description="Print the metrics of exported models on their test sets."
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE.onnx", help="an exported model")
    parser.add_argument("--data-dir", type=Path, help="where to look for the data first")
    parser.add_argument("--images", type=Path, metavar="DIR", help="own images that the model was trained on")
    parser.add_argument("--json", action="store_true", help="print JSON, one object a line for each file")
    options = parser.parse_args(arguments)
    return exit_status(
        "training.evaluate",
        partial(_evaluate_all, options, sizes),
        REFUSALS,
        "nothing was changed. Run the same command again.",
    )


def _evaluate_all(options: argparse.Namespace, sizes: SampleSizes) -> None:
    for file in options.files:
        classifier = Classifier.open(file)
        _print(classifier.card, evaluate(classifier, options.data_dir, options.images, sizes), options.json)


def _print(card: ModelCard, evaluation: Evaluation, as_json: bool) -> None:
    if as_json:
        print(msgspec.json.encode(_to_json(card, evaluation)).decode())
        return
    print(f"{card.name} {card.version}, on the test images of {printable(card.dataset)}")
    Console().print(evaluation_table(evaluation, card.labels))


def _to_json(card: ModelCard, evaluation: Evaluation) -> dict[str, object]:
    """Return the metrics as JSON has them: those of the card's "metrics" at the top, the others by their kind."""
    return {
        **msgspec.to_builtins(evaluation.metrics),
        "macro_accuracy": evaluation.macro_accuracy,
        "set_coverage_by_label": dict(zip(card.labels, evaluation.coverage_by_label, strict=True)),
        "novelty": evaluation.novelty,
        "photos": evaluation.photos,
        "corrupted": evaluation.corrupted,
    }


def evaluate(
    classifier: Classifier,
    data_dir: Path | None = None,
    own_images: Path | None = None,
    sizes: SampleSizes = FULL_SIZE,
) -> Evaluation:
    """Evaluate a model on its test images. Raises DataError when they are not available.

    data_dir: where to look for downloaded data first; own_images: the folder of own images.
    """
    card = classifier.card
    stage(f"Reading {card.dataset}")
    test = test_images(classifier, data_dir, own_images)
    if test.pixels.shape[1:] != classifier.shape:
        found = tuple(test.pixels.shape[1:])
        raise DataError(f"the graph takes images of {classifier.shape}, but those of {card.dataset} are {found}")
    recipe = RECIPES.get(card.training.recipe)
    usual = OWN_IMAGES_SIZE if own_images else recipe.sample_sizes if recipe else FULL_SIZE
    sizes = sizes.at_most(usual)
    threshold = card.novelty.threshold if card.novelty else None
    task = task_of(card.decision)
    inputs = EvaluationInputs(card.dataset, card.fit, card.temperature, card.sets, threshold, task)
    photos = to_photos(test.pixels[: sizes.photos].numpy(), card.fit)
    return evaluate_graph(classifier.run, inputs, test, photos, data_dir, _warn, sizes)


def test_images(classifier: Classifier, data_dir: Path | None, own_images: Path | None) -> LabelledImages:
    """Return the test images of a model. Raises DataError when they are not available."""
    return _own_test_images(classifier, own_images) if own_images else _published_test_images(classifier.card, data_dir)


def _warn(message: str) -> None:
    print(f"training.evaluate: {message}", file=sys.stderr)


def _published_test_images(card: ModelCard, data_dir: Path | None) -> LabelledImages:
    dataset = card.dataset
    if dataset not in SOURCES:
        raise DataError(
            f"unknown data set {dataset!r}; known: {', '.join(SOURCES)}. For a model of own images, name the folder "
            "that it was trained on with --images DIR"
        )
    return SOURCES[dataset].load(data_dir, card.training.limit or None).test


def _own_test_images(classifier: Classifier, own_images: Path) -> LabelledImages:
    """Return the test images that a folder was split into when the model was trained on it."""
    card = classifier.card
    if card.dataset in SOURCES:
        raise DataError(f"{card.name} was trained on {card.dataset}, not on own images; leave --images out")
    folder = ImageFolder.open(own_images, card.name, multi_label=bool(card.task))
    if list(folder.labels) != card.labels:
        raise DataError(
            f"{own_images} has the labels {shortened(folder.labels)}; {card.name} has {shortened(card.labels)}"
        )
    limit = card.training.limit
    data = replace(folder, side=classifier.height, channels=classifier.channels).load(limit=limit or None)
    if data.train.sha256() != card.training.data_sha256:
        _warn(
            f"{own_images} has changed since {card.name} was trained; the model may have been trained on some of its "
            "test images"
        )
    return data.test


if __name__ == "__main__":
    sys.exit(main())
