"""python -m training.images: looks at own images before anything is learned from them."""

from training.command import check_folder, exit_status, quit_on_ctrl_c

if __name__ == "__main__":
    quit_on_ctrl_c()

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from rich.console import Console

from serving.model.card import ContractError
from serving.model.classifier import Classifier
from training.datasets.folder_files import is_read_among
from training.datasets.formats import DataError
from training.datasets.image_folder import ImageFolder
from training.datasets.left_out import shortened
from training.datasets.split_names import TRAIN
from training.evaluation.mislabels import likely_mislabels
from training.networks.efficientnet import has_pretrained
from training.own_recipe import PHOTO_SIDE, pretrained_side
from training.progress import say
from training.survey import Survey, print_survey
from training.suspects import held_out_messages, held_out_suspects, suspects

MAX_MISLABELS = 20
THUMBNAILS = Path("thumbnails.png")
REFUSALS = (ContractError, DataError, OSError)


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
    parser.add_argument("--multi-label", action="store_true", help="images of a CSV may have several labels, or none")
    parser.add_argument(
        "--sheet",
        type=Path,
        metavar="FILE",
        help=f"where to draw the thumbnails (default: {THUMBNAILS}, outside of DIR)",
    )
    options = parser.parse_args(arguments)
    survey = partial(_survey, options.images, options.multi_label, options.model, options.sheet)
    return exit_status("training.images", survey, REFUSALS, "nothing was changed. Run the same command again.")


def _survey(images: Path, multi_label: bool, model: Path | None, asked: Path | None) -> None:
    sheet = asked or _thumbnails_of(images)
    if not sheet.exists():  # one that exists, such as /dev/null, may be writable in a folder that is not
        check_folder(sheet.parent, "--sheet")
    elif sheet.is_dir():
        raise DataError(f"{sheet}: a folder; name a PNG to write with --sheet")
    elif not os.access(sheet, os.W_OK):
        raise PermissionError(f"{sheet}: nothing may be written in it; name another file with --sheet")
    folder = ImageFolder.open(images, "images", multi_label=multi_label)
    if any(file.path.name == sheet.name and file.path.resolve() == sheet.resolve() for file in folder.files):
        raise DataError(f"{sheet}: one of the images, which the thumbnails would replace; name another with --sheet")
    classifier = Classifier.open(model) if model else None
    if classifier:
        folder = _as_seen_by(classifier, folder)
    elif folder.typical_side >= PHOTO_SIDE and has_pretrained():  # as an export without other options takes them
        folder = replace(folder, side=pretrained_side(folder))
    survey = Survey(folder, folder.load())
    console = Console()
    print_survey(survey, console, sheet)
    for line in _mislabels(survey, model, classifier) if model and classifier else ():
        say(console, line)


def _thumbnails_of(images: Path) -> Path:
    """Return where thumbnails are drawn if nobody says: here, or beside the images where they would be among them."""
    return images.resolve().parent / THUMBNAILS if is_read_among(images, THUMBNAILS) else THUMBNAILS


def _as_seen_by(classifier: Classifier, folder: ImageFolder) -> ImageFolder:
    """Return the folder with the input of a model. Raises DataError when the model has other labels or another fit."""
    card = classifier.card
    if folder.multi_label != bool(card.task):
        labels = "may have several labels" if card.task else "has one label"
        advice = "name the CSV with --multi-label" if card.task else "leave --multi-label out"
        raise DataError(f"an image of {card.name} {labels}: {advice}")
    if list(folder.labels) != card.labels or card.fit != "photo" or classifier.height != classifier.width:
        raise DataError(
            f"{card.name} has the labels {shortened(card.labels)}; the images have {shortened(folder.labels)}: name a "
            "model that was trained on these images with --model"
        )
    return replace(folder, side=classifier.height, channels=classifier.channels)


def _mislabels(survey: Survey, model: Path, classifier: Classifier) -> Iterator[str]:
    """Yield the likely mislabels: by cross-validation, unless the model is right more often."""
    found = held_out_suspects(survey, classifier.card, model)
    yield from _mislabels_by(classifier, survey) if found is None else held_out_messages(found, survey, MAX_MISLABELS)


def _mislabels_by(classifier: Classifier, survey: Survey) -> Iterator[str]:
    """Yield the likely mislabels of the images that the model was not trained on, then of the others."""
    probabilities = torch.from_numpy(classifier.classify(survey.all.pixels.numpy()))
    found = likely_mislabels(probabilities, survey.all.labels)
    found.sort(key=lambda one: survey.images[one.place].split == TRAIN)
    shown = f"; the first {MAX_MISLABELS}" if len(found) > MAX_MISLABELS else ""
    yield f"Likely mislabels, by {classifier.card.name} {classifier.card.version} ({len(found):,}{shown}):"
    for suspect in suspects(survey, found[:MAX_MISLABELS]):
        yield f"  {suspect}" + (", though it learned that label" if suspect.image.split == TRAIN else "")
    if not has_pretrained():
        yield "Cross-validation may find more: pip install '.[backbones]' in Thimble's folder"


if __name__ == "__main__":
    sys.exit(main())
