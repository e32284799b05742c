"""What the export command can be asked for."""

import argparse
from dataclasses import replace
from pathlib import Path

from training.recipes import DEFAULT, RECIPES, Recipe
from training.train import DEVICES

LARGEST_SEED = 2**32 - 1


def export_parser() -> argparse.ArgumentParser:
    """Return the parser of python -m training.export."""
    parser = argparse.ArgumentParser(
        prog="python -m training.export",
        description="Train a network and export it as a model folder that the service takes.",
    )
    parser.add_argument("recipes", nargs="*", type=_recipe, metavar="RECIPE", help=f"default: {' '.join(DEFAULT)}")
    parser.add_argument("--list", action="store_true", help="list the recipes")
    parser.add_argument("--device", choices=("auto", *DEVICES), default="auto", help="default: the fastest there is")
    parser.add_argument("--data-dir", type=Path, help="where to look for the data first")
    parser.add_argument("--models-dir", type=Path, default=Path("models"), help="where to write (default: models)")
    parser.add_argument("--epochs", type=_at_least_one, help="train this long instead")
    parser.add_argument("--seed", type=_seed, help="another seed")
    parser.add_argument(
        "--limit",
        type=_at_least_one,
        metavar="N",
        help="use that many images: a rehearsal (it is published as any export; see --models-dir)",
    )
    parser.add_argument(
        "--checkpoint", type=Path, metavar="FILE", help="export these weights (a state_dict) without training"
    )
    return parser


def adjusted(recipe: Recipe, options: argparse.Namespace) -> Recipe:
    """Return the recipe with the epochs and the seed that were asked for."""
    changes = {"epochs": options.epochs, "seed": options.seed}
    return replace(recipe, **{field: value for field, value in changes.items() if value is not None})


def _recipe(name: str) -> str:
    if name not in RECIPES:
        raise argparse.ArgumentTypeError(f"there is no recipe {name!r}; there are: {', '.join(RECIPES)}")
    return name


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) > LARGEST_SEED:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to {LARGEST_SEED}")
    return int(text)


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)
