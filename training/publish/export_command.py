"""The command that trains a model again, as its README names it."""

from collections.abc import Mapping
from typing import Any

from training.datasets.domains import SOURCES
from training.networks.efficientnet import EfficientNetLite
from training.networks.titles import INT8_SUFFIX, has_frozen_backbone, is_fine_tuned
from training.option_types import BACKBONES
from training.own_recipe import SIDES
from training.recipes import RECIPES


def export_command(card: Mapping[str, Any], side: int) -> str:
    """Return the command for a card's values. side: height and width of the model's input, in pixels."""
    training, network = card["training"], card["network"].removesuffix(INT8_SUFFIX)
    published = card["dataset"] in SOURCES
    schedule = f"--epochs {training['epochs']} --seed {training['seed']}"
    if is_fine_tuned(network):
        schedule = f"--fine-tune {schedule}"
    elif not published and has_frozen_backbone(network):
        schedule = f"--backbone {BACKBONES[0] if network == EfficientNetLite.title else 'FILE.onnx'}"
    what = training["recipe"] if published else _own(card, side)
    limit = f" --limit {training['limit']}" if training.get("limit") else ""
    return f"python -m training.export {what} {schedule}{limit}{_variant(card)}"


def _own(card: Mapping[str, Any], side: int) -> str:
    """Return the options that name own images and the side of the input; without it, a backbone's own is taken."""
    images = "CSV --multi-label" if "task" in card else "DIR"
    asked = f" --side {side}" if side in SIDES else ""
    return f"--images {images} --name {card['training']['recipe']}{asked}"


def _variant(card: Mapping[str, Any]) -> str:
    """Return the option that chooses between float32 and int8 where it is not the recipe's own choice."""
    training = card["training"]
    if card["name"] != training["recipe"]:
        return " --int8"
    recipe = RECIPES.get(training["recipe"])
    return " --float" if recipe and recipe.int8 and "quantization" not in training else ""
