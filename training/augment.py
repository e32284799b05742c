"""Augmentations: pure functions on a batch of images [n, channels, height, width]."""

import torch
from torch import Tensor
from torch.nn import functional


def flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image left to right with probability one half."""
    mirrored = torch.rand(len(images), generator=generator) < 0.5
    return torch.where(mirrored.to(images.device)[:, None, None, None], images.flip(3), images)


def shift(images: Tensor, generator: torch.Generator, most: int = 2) -> Tensor:
    """Move each image by up to that many pixels along both axes; what comes in mirrors the border."""
    n, _, height, width = images.shape
    padded = functional.pad(images, (most,) * 4, mode="reflect")
    corner = torch.randint(0, 2 * most + 1, (2, n, 1), generator=generator).to(images.device)
    rows = (corner[0] + torch.arange(height, device=images.device))[:, None, :, None]
    columns = (corner[1] + torch.arange(width, device=images.device))[:, None, None, :]
    batch, channels = (torch.arange(size, device=images.device) for size in images.shape[:2])
    return padded[batch[:, None, None, None], channels[None, :, None, None], rows, columns]
