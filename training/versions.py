"""python -m training.versions: lists the versions of a model, compares two, and changes which one answers."""

from training.command import exit_status, quit_on_ctrl_c

if __name__ == "__main__":
    quit_on_ctrl_c()

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from serving.model.card import ContractError
from serving.model.classifier import Classifier
from training.datasets.formats import DataError
from training.datasets.image_file import printable
from training.export_options import MODELS, OWN_MODELS, default_models_dir
from training.progress import say
from training.publish.comparison import VersionComparison, compare, compare_cards
from training.publish.model_folder import ModelFolder
from training.publish.versions import Version, VersionError, Versions

CONSOLE = Console()
DRAFT = "draft"  # as a version's name
REFUSALS = (ContractError, DataError, OSError, VersionError)


def main(arguments: Sequence[str] | None = None) -> int:
    """List, compare, promote or roll back; returns the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    comparing = {"--images": options.images, "--data-dir": options.data_dir}
    if not options.compare and (given := [name for name, value in comparing.items() if value]):
        parser.error(f"nothing is compared: leave {' and '.join(given)} out, or add --compare")
    return exit_status(
        "training.versions",
        partial(_list_or_change, options),
        REFUSALS,
        f"to see which version answers: python -m training.versions {options.name}",
    )


def _list_or_change(options: argparse.Namespace) -> None:
    models = options.models_dir or default_models_dir(options.name)
    versions = Versions(ModelFolder(models, options.name))
    if options.promote:
        published = versions.promote() if options.promote == DRAFT else versions.restore(options.promote)
        say(CONSOLE, f"{published} answers now")
    elif options.roll_back:
        before, withdrawn = versions.roll_back()
        say(CONSOLE, f"{before} answers now; to have {withdrawn.name} answer again: --promote {withdrawn.name}")
    elif options.compare:
        say(CONSOLE, str(_comparison(versions.all(), options.compare, options.images, options.data_dir)))
    else:
        CONSOLE.print(_table(versions.all()))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.versions",
        description="List the versions of a model, compare one with the version that answers, or have another answer.",
    )
    parser.add_argument("name", help="the model")
    parser.add_argument(
        "--models-dir", type=Path, help=f"where it is (default: {MODELS}, and {OWN_MODELS} for own images)"
    )
    which = parser.add_mutually_exclusive_group()
    for option, text in (
        ("--compare", "compare this version with the one that answers (default: the draft)"),
        ("--promote", "publish the draft, or a withdrawn version again, so that it answers"),
    ):
        which.add_argument(option, nargs="?", const=DRAFT, metavar="VERSION", help=text)
    which.add_argument(
        "--roll-back", action="store_true", help="withdraw the version that answers, so that the one before answers"
    )
    parser.add_argument("--images", type=Path, metavar="DIR", help="own images: compare on these test images")
    parser.add_argument("--data-dir", type=Path, help="where to look for the data first")
    return parser


def _table(versions: Sequence[Version]) -> Table:
    table = Table("Version", "State", "Date", "Accuracy", "Of", "ECE", "Network")
    for column in table.columns[:6]:
        column.no_wrap = True
    for version in versions:
        try:
            card = Classifier.open(version.file).card
        except ContractError as error:
            table.add_row(version.folder.name, version.state, "", "", "", "", escape(f"refused: {error}"))
            continue
        figures = f"{card.metrics.accuracy:.2%}", f"{card.metrics.n:,}", f"{card.metrics.ece:.3f}"
        date, network = (escape(printable(text)) for text in (card.training.date, card.network))
        table.add_row(version.folder.name, version.state, date, *figures, network)
    return table


def _comparison(
    versions: Sequence[Version], wanted: str, images: Path | None, data_dir: Path | None
) -> VersionComparison:
    """Compare on the same test images, or by the cards where those are not there. Raises VersionError."""
    from training.evaluate import test_images  # here, since it loads all that evaluates, which takes seconds

    answering, *others = versions
    if answering.state != "answers":
        raise VersionError("no version answers: there is nothing to compare with")
    found = [one for one in others if one.name == wanted]
    if not found:
        missing = "no draft" if wanted == DRAFT else f"no other version {wanted}"
        there = " or ".join(f"--compare {one.name}" for one in others) or "there is no other"
        raise VersionError(f"{missing} to compare with version {answering.name}, which answers; {there}")
    before, after = Classifier.open(answering.file), Classifier.open(found[0].file)
    try:
        test = test_images(after, data_dir, images)
    except DataError as error:
        if images:
            raise
        say(CONSOLE, f"The test images are not there: {error}")
        return compare_cards(before.card, after.card)
    return compare(before, after.card, torch.from_numpy(after.classify(test.pixels.numpy())), test)


if __name__ == "__main__":
    sys.exit(main())
