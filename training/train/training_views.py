"""The views of the training images, epoch by epoch, with their soft labels."""

import hashlib
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from training.datasets.views import photo_readers
from training.progress import track
from training.recipe import Recipe, name_of
from training.train.checkpoint import CheckpointError, SavedRun


class TrainingView(NamedTuple):
    """One view of the n training images: pixels uint8 [n, h, w, c], and soft labels [n, classes] or None."""

    pixels: Tensor
    soft_labels: Tensor | None


@dataclass(frozen=True)
class TrainingViews:
    """Views of the n training images: pixels uint8 [views, n, h, w, c].

    soft_labels: a teacher's probabilities [views, n, classes] for these very pixels; None without a teacher.
    """

    pixels: Tensor
    soft_labels: Tensor | None = None

    def of_epoch(self, epoch: int) -> TrainingView:
        """Return the view of an epoch, counted from 1; the views take turns."""
        number = (epoch - 1) % len(self.pixels)
        return TrainingView(self.pixels[number], None if self.soft_labels is None else self.soft_labels[number])

    def is_flipped(self, epoch: int) -> bool:
        """Return whether an epoch flips those images that the first does not.

        Neighbouring epochs differ, and a view that comes again is flipped the other way.
        """
        rounds, number = divmod(epoch - 1, len(self.pixels))
        return (rounds + number) % 2 == 1

    def to(self, device: torch.device) -> "TrainingViews":
        """Return them on a device."""
        return TrainingViews(self.pixels.to(device), None if self.soft_labels is None else self.soft_labels.to(device))


def draw_views(recipe: Recipe, pixels: Tensor, device: torch.device, folder: Path) -> Tensor:
    """Return the recipe's views [views, n, h, w, c] of images [n, h, w, c], which its seed decides.

    device: of the training; views are drawn on it if it is a GPU. folder: keeps them for a training that is resumed and
    for other recipes, which may need fewer.
    """
    if recipe.view is None:
        return pixels[None]
    count = min(recipe.views, recipe.epochs)
    if device.type != "cuda":
        device = torch.device("cpu")
    identity = {"seed": recipe.seed, "device": device.type, "pixels": sha256(pixels)}
    kept = SavedRun(folder / f"{name_of(recipe.view)}.pt", identity)
    try:
        drawn: Tensor = kept.load()["views"]
    except CheckpointError:  # none yet, or others
        drawn = torch.empty(0)
    if len(drawn) < count:
        generator, images = torch.Generator(device).manual_seed(recipe.seed), pixels.to(device)
        drawn = torch.empty(count, *pixels.shape, dtype=torch.uint8)
        with photo_readers():
            views = islice(recipe.view(images, generator), count)
            for number, view in enumerate(track(f"Drawing {count} views", views, count)):
                drawn[number] = view
        kept.save({"views": drawn})
    return drawn[:count]


def sha256(pixels: Tensor) -> str:
    """Return the digest of pixels that are in memory in one piece."""
    return hashlib.sha256(pixels.numpy().data).hexdigest()
