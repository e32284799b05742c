"""Fine-tuning: the last blocks of a pretrained network learn from own images, in minutes on a processor.

What the layers before them give for a few views of each image is computed once, and kept.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from training.augment import flip_lr, random_zoom
from training.datasets.labelled import LabelledImages
from training.networks.efficientnet import EfficientNetLite
from training.networks.normalize import Normalize
from training.progress import track
from training.recipe import Recipe
from training.train.trained_network import TrainedNetwork
from training.train.trainer import Epoch
from training.train.training_views import TrainingViews

VIEWS = 6  # of each image to train on, among them the image as it is
MAPS_BYTES = 1 << 30  # of all views, in half precision: very many images have fewer views
BATCH = 100  # images


class TailTraining(NamedTuple):
    """What train_network needs to train the last layers of a network; pixels are the feature maps that they get."""

    recipe: Recipe
    train: LabelledImages
    validation: LabelledImages
    views: TrainingViews


def tail_training(
    recipe: Recipe,
    fitted: TrainedNetwork,
    train: LabelledImages,
    validation: LabelledImages,
    maps_bytes: int = MAPS_BYTES,
) -> TailTraining:
    """Return the training of a network's last layers, which changes them in their place.

    fitted: with a last layer that fits the features. Where that learned from mirrored images, these layers do too.
    """
    frozen, tail = cast(EfficientNetLite, fitted.network).split()  # own images have no other network to fine-tune
    maps = partial(_maps, frozen, fitted.normalize)
    generator = torch.Generator().manual_seed(recipe.seed)
    flip = flip_lr.__name__ in fitted.augmentations

    def another_view(images: Tensor) -> Tensor:
        zoomed = random_zoom(images, generator)
        return flip_lr(zoomed, torch.rand(len(images), generator=generator) < 0.5) if flip else zoomed

    plain = maps(train.pixels)
    others = min(VIEWS, maps_bytes // plain.nbytes) - 1
    views = torch.stack([plain, *(maps(train.pixels, another_view) for _ in range(others))])
    return TailTraining(
        replace(recipe, network=lambda: tail, normalize=lambda _: _AsFloat()),
        LabelledImages(plain, train.labels),
        LabelledImages(maps(validation.pixels), validation.labels),
        TrainingViews(views),
    )


def fine_tuned(fitted: TrainedNetwork, tail: TrainedNetwork) -> TrainedNetwork:
    """Return the network with the last layers that were trained in it."""
    fitted.network.eval()
    augmentations = *fitted.augmentations, random_zoom.__name__
    return replace(fitted, epochs=tail.epochs, device=tail.device, augmentations=augmentations)


def why_worse(before: Epoch, after: Epoch) -> str | None:
    """Return what to do where fine-tuning has lost validation accuracy, which too few epochs do; None where it has not.

    before: the last layer alone.
    """
    if after.val_accuracy >= before.val_accuracy:
        return None
    return (
        f"fine-tuning made the network worse: {after.val_accuracy:.1%} of the validation images are right, and "
        f"{before.val_accuracy:.1%} were before; take more epochs, or leave --fine-tune out"
    )


class _AsFloat(Normalize):
    """Take feature maps as they are, in single precision."""

    def __init__(self) -> None:
        super().__init__(torch.zeros(1), torch.ones(1))

    def forward(self, maps: Tensor) -> Tensor:
        return maps.float()


def _maps(
    frozen: nn.Module, normalize: Normalize, pixels: Tensor, view: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    """Return what the frozen layers give for images [n, h, w, c], float16 [n, channels, h, w].

    view: changes the normalized images before.
    """
    batches = pixels.split(BATCH)
    with torch.inference_mode():
        images = map(normalize, track(f"Feature maps of {len(pixels):,} images", batches, len(batches)))
        return torch.cat([frozen(view(batch) if view else batch).half() for batch in images])
