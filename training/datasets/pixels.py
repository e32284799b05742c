"""Pixels as bytes, [n, height, width, channels], and images between 0 and 1, [n, channels, height, width]."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Pixels = NDArray[np.uint8]

SMALL_IMAGE = 3 * 32 * 32  # values


def as_many(small: int, pixels: Tensor) -> int:
    """Return how many of these images [n, ...] take as much memory as so many small ones; at most as many."""
    return max(1, small * SMALL_IMAGE // max(SMALL_IMAGE, pixels.shape[1:].numel()))


def to_images(pixels: Tensor) -> Tensor:
    """Return pixels, uint8 [n, h, w, c], as images [n, c, h, w] between 0 and 1."""
    return pixels.permute(0, 3, 1, 2).float() / 255


def to_pixels(images: Tensor) -> Tensor:
    """Return images [n, c, h, w] as pixels, uint8 [n, h, w, c]; what lies beyond 0 and 1 is cut off."""
    return (255 * images.clamp(0, 1)).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
