"""Images in memory, with their labels."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

import torch
from torch import Tensor

SPLIT_SEED = 0  # of the held-out images: the same ones whatever the seed of a training


@dataclass(frozen=True)
class Images:
    """pixels: uint8 [n, height, width, channels]; labels: int64 [n]."""

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, which: Tensor | slice) -> Self:
        """Return the images at these positions."""
        return type(self)(self.pixels[which], self.labels[which])

    def sha256(self) -> str:
        """Return the digest of all pixels followed by all labels, each label a byte."""
        digest = hashlib.sha256(self.pixels.numpy().tobytes())
        digest.update(self.labels.to(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    def split(self, held: int) -> tuple[Self, Self]:
        """Return the images to train on and that many held out of training, chosen with a fixed seed."""
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(SPLIT_SEED))
        return self.take(order[held:]), self.take(order[:held])


@dataclass(frozen=True)
class DataSet:
    """A data set in memory: what is to be learned from, and what is looked at once at the end.

    limit: how many images of each a rehearsal was held to. skipped: what could not be read, and why.
    """

    train: Images
    test: Images
    limit: int | None = None
    skipped: tuple[str, ...] = ()


class Source(Protocol):
    """Where a recipe's data comes from; licence: of what is trained on it, and of its images."""

    @property
    def title(self) -> str: ...
    @property
    def licence(self) -> str: ...
    @property
    def labels(self) -> tuple[str, ...]: ...
    def load(self, data_dir: Path | None = None, limit: int | None = None) -> DataSet: ...
