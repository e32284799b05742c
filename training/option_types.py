"""The types of the export's options: each function returns the value of a text, or says what is wrong with it."""

import argparse
from pathlib import Path

from training.datasets.image_folder import is_model_name
from training.recipes import RECIPES

NO_BACKBONE = "none"
BACKBONES = "efficientnet-lite0", NO_BACKBONE
ONNX_SUFFIX = ".onnx"
INT8 = "int8"  # the suffix of a quantized model's name
MAX_SEED = 2**32 - 1
MAX_MINUTES = 7 * 24 * 60


def recipe(name: str) -> str:
    if name not in RECIPES:
        if Path(name).exists():
            raise argparse.ArgumentTypeError(
                f"{name!r} is not a recipe; for own images, name them with --images {name}"
            )
        raise argparse.ArgumentTypeError(f"unknown recipe {name!r}; recipes: {', '.join(RECIPES)}")
    return name


def name(name: str) -> str:
    if name.removesuffix(f"-{INT8}") in RECIPES:
        raise argparse.ArgumentTypeError(f"{name!r} is the name of a recipe; take another for the model of own images")
    if not is_model_name(f"{name}-{INT8}"):
        raise argparse.ArgumentTypeError(
            f"{name!r} cannot name a model; take up to 95 letters, digits, dots, dashes and underscores, and begin "
            "with a letter or a digit"
        )
    return name


def backbone(text: str) -> str:
    if text not in BACKBONES and not text.endswith(ONNX_SUFFIX):
        raise argparse.ArgumentTypeError(
            f"unknown backbone {text!r}; take {', '.join(BACKBONES)}, or a file that ends in {ONNX_SUFFIX}"
        )
    return text


def seed(text: str) -> int:
    if not text.isdecimal() or int(text) > MAX_SEED:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to {MAX_SEED}")
    return int(text)


def minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0
    if not 0 < minutes <= MAX_MINUTES:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of minutes above 0, and up to {MAX_MINUTES:,}")
    return minutes


def at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)
