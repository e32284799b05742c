"""From raw pixels to what a network takes."""

from typing import Self

import torch
from torch import Tensor, nn

LEAST_SPREAD = 1 / 255  # what a channel in which nothing differs is divided by
AT_ONCE = 500  # images: what a pass over all of them works on stays in the processor's cache


class Normalise(nn.Module):
    """Raw pixels to what a network takes: uint8 [n, h, w, c] -> float32 [n, c, h, w], (x/255 - mean) / spread.

    root: take the square root of x/255 first, which brings out what is dark.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, mean: Tensor, spread: Tensor, root: bool = False) -> None:
        """mean, spread: [channels], of pixels between 0 and 1 or of their roots."""
        super().__init__()
        self.root = root
        self.register_buffer("mean", mean.view(-1, 1, 1))
        self.register_buffer("spread", spread.view(-1, 1, 1))

    @classmethod
    def to_unit(cls, pixels: Tensor) -> Self:
        """Only divide by 255, as the lecture does."""
        channels = pixels.shape[-1]
        return cls(torch.zeros(channels), torch.ones(channels))

    @classmethod
    def to_standard(cls, pixels: Tensor, root: bool = False) -> Self:
        """Bring the pixels [n, h, w, c] of these images to mean 0 and standard deviation 1 in each channel."""
        n = pixels[..., 0].numel()
        total = squares = torch.zeros(pixels.shape[-1], dtype=torch.float64)
        for part in pixels.split(AT_ONCE):
            values = part.flatten(0, 2).float() / 255
            values = values.sqrt() if root else values
            total, squares = total + values.sum(0).double(), squares + values.square().sum(0).double()
        mean = total / n
        return cls(mean.float(), (squares / n - mean.square()).clamp_min(LEAST_SPREAD**2).sqrt().float(), root)

    @classmethod
    def to_roots(cls, pixels: Tensor) -> Self:
        """The same of the pixels' square roots."""
        return cls.to_standard(pixels, root=True)

    def forward(self, image: Tensor) -> Tensor:
        planes = image.permute(0, 3, 1, 2).float() / 255
        planes = planes.sqrt() if self.root else planes
        return (planes - self.mean) / self.spread
