"""Fine-tuning: the last blocks of a pretrained network learn from own images, in minutes on a processor.

The feature maps that the layers before them give for a few views of each image are computed once, and kept.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from training.augment import flip_lr, random_zoom
from training.datasets.labelled import LabelledImages
from training.networks.base import INFERENCE_BATCH
from training.networks.efficientnet import EfficientNetLite
from training.networks.normalize import Normalize
from training.progress import track
from training.recipe import Recipe
from training.train.trained_network import TrainedNetwork
from training.train.training_views import TrainingViews

VIEWS = 6  # of each image to train on, among them the image as it is
MAPS_BYTES = 1 << 30  # of all views, in half precision: very many images have fewer views


class TailTraining(NamedTuple):
    """The arguments with which train_network trains the last layers of a network; pixels are their feature maps."""

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
    views = torch.empty(max(1, min(VIEWS, maps_bytes // plain.nbytes)), *plain.shape, dtype=plain.dtype)
    views[0] = plain
    for view in views[1:]:  # each is put in its place: a list of them would need the memory twice
        view.copy_(maps(train.pixels, another_view))
    return TailTraining(
        replace(recipe, network=lambda: tail, normalize=lambda _: _AsFloat()),
        LabelledImages(views[0], train.labels),
        LabelledImages(maps(validation.pixels), validation.labels),
        TrainingViews(views),
    )


def fine_tuned(fitted: TrainedNetwork, tail: TrainedNetwork) -> TrainedNetwork:
    """Return the network with the last layers that were trained in it."""
    fitted.network.eval()
    augmentations = *fitted.augmentations, random_zoom.__name__
    return replace(fitted, epochs=tail.epochs, device=tail.device, augmentations=augmentations)


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
    batches = pixels.split(INFERENCE_BATCH)
    with torch.inference_mode():
        images = map(normalize, track(f"Feature maps of {len(pixels):,} images", batches, len(batches)))
        return torch.cat([frozen(view(batch) if view else batch).half() for batch in images])
