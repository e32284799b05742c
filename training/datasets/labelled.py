"""Labelled images in memory."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

import torch
from torch import Tensor

SPLIT_SEED = 0  # the validation images are the same ones whatever the seed of a training


@dataclass(frozen=True)
class LabelledImages:
    """pixels: uint8 [n, height, width, channels]; labels: int64 [n], an index each, or bool [n, classes]."""

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, which: Tensor | slice) -> Self:
        """Return the images at these positions, or those of a mask [n]."""
        return type(self)(self.pixels[which], self.labels[which])

    def sha256(self) -> str:
        """Return the digest of all pixels followed by all labels, each label a byte."""
        digest = hashlib.sha256(self.pixels.numpy().tobytes())
        digest.update(self.labels.to(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def split(self, validation: int) -> tuple[Self, Self]:
        """Return the images to train on and so many validation images, chosen with a fixed seed."""
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(SPLIT_SEED))
        return self.take(order[validation:]), self.take(order[:validation])


@dataclass(frozen=True)
class TrainTest:
    """A data set in memory: the training and the test images.

    limit: the most images of each that --limit allowed. skipped: the files that could not be read, with the reasons.
    validation: the validation images where they are set apart; None where they are some of the training images.
    """

    train: LabelledImages
    test: LabelledImages
    limit: int | None = None
    skipped: tuple[str, ...] = ()
    validation: LabelledImages | None = None


def truth_of(labels: Tensor, classes: int) -> Tensor:
    """Return which labels the images have, bool [n, classes], of an index each [n] or of that very matrix."""
    return labels if labels.ndim == 2 else labels[:, None] == torch.arange(classes, device=labels.device)


def rarest_label(labels: Tensor) -> Tensor:
    """Return the index [n] of each image's label, of several the rarest; of an image without any, the next index."""
    if labels.ndim == 1:
        return labels
    rarity = labels / labels.sum(0).clamp_min(1)
    return torch.cat([rarity, ~labels.any(1, keepdim=True)], 1).argmax(1)


class Source(Protocol):
    """The source of a recipe's data; licence: of a model trained on it, and of its images."""

    @property
    def title(self) -> str: ...
    @property
    def licence(self) -> str: ...
    @property
    def labels(self) -> tuple[str, ...]: ...
    def load(self, data_dir: Path | None = None, limit: int | None = None) -> TrainTest: ...
