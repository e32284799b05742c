"""Mixup: a network learns from mixtures of two images, and from the labels of both (Zhang et al. 2018)."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class Mixup:
    """How the images of a batch are mixed: each with its partner [n], a place in the batch; share: of the image.

    The share is at least a half, so that an image counts more than its partner.
    """

    share: float
    partners: Tensor

    @classmethod
    def draw(cls, n: int, alpha: float, generator: torch.Generator) -> Self:
        """Draw partners for n images, and a share from Beta(alpha, alpha).

        The share comes from PyTorch's default generator: its distributions take no other.
        """
        share = float(torch.distributions.Beta(alpha, alpha).sample())
        return cls(max(share, 1 - share), torch.randperm(n, generator=generator, device=generator.device))

    def of(self, own: Tensor, partners: Tensor) -> Tensor:
        """Mix what belongs to the images with what belongs to their partners: pixels, or losses."""
        return self.share * own + (1 - self.share) * partners
