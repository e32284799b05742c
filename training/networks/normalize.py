"""Normalization: from raw pixels to the input of a network."""

from typing import Self

import torch
from torch import Tensor, nn

MIN_DEVIATION = 1 / 255  # the divisor for a channel in which all pixels are equal
STATISTICS_BATCH = 500  # images: with so many, the intermediate results of one pass stay in the processor's cache


class Normalize(nn.Module):
    """Normalize raw pixels: uint8 [n, h, w, c] -> float32 [n, c, h, w], (x/255 - mean) / deviation.

    root: take the square root of x/255 first, which brings out dark parts.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, mean: Tensor, deviation: Tensor, root: bool = False) -> None:
        """mean, deviation: [channels], of pixels between 0 and 1 or of their square roots."""
        super().__init__()
        self.root = root
        self.register_buffer("mean", mean.view(-1, 1, 1))
        self.register_buffer("deviation", deviation.view(-1, 1, 1))

    @classmethod
    def to_unit(cls, pixels: Tensor) -> Self:
        """Only divide by 255, as the lecture does; pixels: [n, h, w, c]."""
        channels = pixels.shape[-1]
        return cls(torch.zeros(channels), torch.ones(channels))

    @classmethod
    def to_standard(cls, pixels: Tensor, root: bool = False) -> Self:
        """Bring the pixels [n, h, w, c] of these images to mean 0 and standard deviation 1 in each channel."""
        n = pixels[..., 0].numel()
        total = squares = torch.zeros(pixels.shape[-1], dtype=torch.float64)
        for batch in pixels.split(STATISTICS_BATCH):
            values = batch.flatten(0, 2).float() / 255
            values = values.sqrt() if root else values
            total, squares = total + values.sum(0).double(), squares + values.square().sum(0).double()
        mean = total / n
        return cls(mean.float(), (squares / n - mean.square()).clamp_min(MIN_DEVIATION**2).sqrt().float(), root)

    @classmethod
    def to_roots(cls, pixels: Tensor) -> Self:
        """Bring the square roots of the pixels [n, h, w, c] to mean 0 and standard deviation 1 in each channel."""
        return cls.to_standard(pixels, root=True)

    def forward(self, image: Tensor) -> Tensor:
        planes = image.permute(0, 3, 1, 2).float() / 255
        planes = planes.sqrt() if self.root else planes
        return (planes - self.mean) / self.deviation
