"""python -m training.images: looks at own images before anything is learned from them."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console

from serving.model.card import ContractError
from serving.model.classifier import Classifier
from training.datasets.folder_layout import TRAIN
from training.datasets.formats import DataError
from training.datasets.image_file import printable
from training.datasets.image_folder import ImageFolder
from training.evaluation.mislabels import likely_mislabels
from training.survey import Survey, print_survey

MAX_MISLABELS = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Survey a folder; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m training.images",
        description="Say what is in a folder of own images, and what is wrong with it. Changes and trains nothing.",
    )
    parser.add_argument("images", type=Path, metavar="DIR", help="the folder, or a CSV of file,label")
    parser.add_argument(
        "--model", type=Path, metavar="FILE", help="a model trained on them: also list likely mislabels"
    )
    parser.add_argument(
        "--sheet",
        type=Path,
        metavar="FILE",
        default=Path("thumbnails.png"),
        help="where to draw the thumbnails (default: %(default)s)",
    )
    options = parser.parse_args(arguments)
    try:
        classifier = Classifier.open(options.model) if options.model else None
        _survey(options.images, classifier, options.sheet)
    except (ContractError, DataError, OSError) as error:
        print(f"training.images: {error}", file=sys.stderr)
        return 1
    return 0


def _survey(images: Path, classifier: Classifier | None, sheet: Path) -> None:
    folder = ImageFolder.open(images, "images")
    if classifier:
        folder = _as_seen_by(classifier, folder)
    survey = Survey(folder, folder.load())
    console = Console()
    print_survey(survey, console, sheet)
    for line in _mislabels(survey, classifier) if classifier else ():
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _as_seen_by(classifier: Classifier, folder: ImageFolder) -> ImageFolder:
    """Return the folder with the input of a model. Raises DataError when the model has other labels or another fit."""
    card = classifier.card
    if list(folder.labels) != card.labels or card.fit != "photo" or classifier.height != classifier.width:
        raise DataError(
            f"{card.name} has the labels {', '.join(card.labels)}, the images have {', '.join(folder.labels)}: name a "
            "model that was trained on these images with --model"
        )
    return replace(folder, side=classifier.height, channels=classifier.channels)


def _mislabels(survey: Survey, classifier: Classifier) -> Iterator[str]:
    """Yield the likely mislabels of the images that were not trained on, then of the others."""
    probabilities = torch.from_numpy(classifier.classify(survey.all.pixels.numpy()))
    found = likely_mislabels(probabilities, survey.all.labels)
    found.sort(key=lambda one: survey.images[one.place].split == TRAIN)
    yield f"Likely mislabels, by {classifier.card.name} {classifier.card.version} ({len(found):,}):"
    for place, label, margin in found[:MAX_MISLABELS]:
        image = survey.images[place]
        learned = ", though it learned that label" if image.split == TRAIN else ""
        yield (
            f"  {printable(image.path)}: {image.label!r}, rather {survey.folder.labels[label]!r} "
            f"(by {margin:.2f} in probability{learned})"
        )


if __name__ == "__main__":
    sys.exit(main())
