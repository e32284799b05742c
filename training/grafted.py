"""The recipe of own images that begins with another ONNX classifier."""

from dataclasses import replace
from pathlib import Path

from training.datasets.image_folder import ImageFolder
from training.graph.onnx_backbone import OnnxBackbone, to_bytes, to_imagenet, to_symmetric
from training.graph.onnx_features import OnnxFeatures
from training.networks.normalize import Normalize
from training.own_recipe import PRETRAINED_SIDES, own_recipe, pretrained_side
from training.progress import stage
from training.recipe import Recipe


def grafted_recipe(folder: ImageFolder, backbone: Path) -> Recipe:
    """Return the recipe for own images whose last layer learns from another classifier's features. Raises DataError."""
    stage(f"Reading {backbone}")
    features = OnnxFeatures.open(backbone)
    largest = max(features.height, features.width)
    sides = [*(side for side in PRETRAINED_SIDES if side < largest), largest]
    return replace(
        own_recipe(folder, pretrained=True),
        title=f"Own images, on the features of {features.name}",
        source=replace(folder, side=pretrained_side(folder, sides)),
        network=lambda: OnnxBackbone(features, len(folder.labels)),
        normalize=to_bytes if features.takes_bytes else to_imagenet,
        normalizations=() if features.takes_bytes else (to_imagenet, to_symmetric, Normalize.to_unit, to_bytes),
    )
