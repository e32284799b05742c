"""Lessons: what a network is trained on, epoch by epoch: views of the images, and what a teacher says of them."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from training.recipe import Recipe


class Lesson(NamedTuple):
    """One view of the n training images: pixels uint8 [n, h, w, c], and soft labels [n, classes] or None."""

    pixels: Tensor
    soft_labels: Tensor | None


@dataclass(frozen=True)
class Lessons:
    """Views of the n training images: pixels uint8 [views, n, h, w, c].

    soft_labels: a teacher's probabilities [views, n, classes] for these very pixels; None without a teacher.
    """

    pixels: Tensor
    soft_labels: Tensor | None = None

    @classmethod
    def plain(cls, pixels: Tensor) -> "Lessons":
        """Return the images [n, h, w, c] as they are, as the only view."""
        return cls(pixels[None])

    @classmethod
    def draw(cls, recipe: Recipe, pixels: Tensor) -> "Lessons":
        """Return the recipe's views of images [n, h, w, c], which its seed decides."""
        if recipe.view is None:
            return cls.plain(pixels)
        generator = torch.Generator().manual_seed(recipe.seed)
        views = torch.empty(recipe.views, *pixels.shape, dtype=torch.uint8)
        for view in views:
            view.copy_(recipe.view(pixels, generator))
        return cls(views)

    def of(self, epoch: int) -> Lesson:
        """Return the view of an epoch, counted from 1: they take turns."""
        number = (epoch - 1) % len(self.pixels)
        return Lesson(self.pixels[number], None if self.soft_labels is None else self.soft_labels[number])

    def to(self, device: torch.device) -> "Lessons":
        """Return them on a device."""
        return Lessons(self.pixels.to(device), None if self.soft_labels is None else self.soft_labels.to(device))
