"""Augmentations: pure functions on a batch of images [n, channels, height, width]."""

import torch
from torch import Tensor
from torch.nn import functional


def mirror(images: Tensor, which: Tensor) -> Tensor:
    """Mirror those images left to right for which the mask [n] says so."""
    return torch.where(which[:, None, None, None], images.flip(3), images)


def shift(images: Tensor, generator: torch.Generator, most: int = 2) -> Tensor:
    """Move each image by up to that many pixels along both axes; what comes in mirrors the border."""
    n, _, height, width = images.shape
    padded = functional.pad(images, (most,) * 4, mode="reflect")
    corner = torch.randint(0, 2 * most + 1, (2, n, 1), generator=generator).to(images.device)
    rows = (corner[0] + torch.arange(height, device=images.device))[:, None, :, None]
    columns = (corner[1] + torch.arange(width, device=images.device))[:, None, None, :]
    batch, channels = (torch.arange(size, device=images.device) for size in images.shape[:2])
    return padded[batch[:, None, None, None], channels[None, :, None, None], rows, columns]


def cut_out(images: Tensor, generator: torch.Generator, side: int = 12) -> Tensor:
    """Blank a square of that many pixels at a random place in each image (DeVries and Taylor 2017)."""
    n, _, height, width = images.shape
    top = torch.randint(0, height - side + 1, (n, 1), generator=generator).to(images.device)
    left = torch.randint(0, width - side + 1, (n, 1), generator=generator).to(images.device)
    rows = torch.arange(height, device=images.device) - top
    columns = torch.arange(width, device=images.device) - left
    covered = ((rows >= 0) & (rows < side))[:, None, :, None] & ((columns >= 0) & (columns < side))[:, None, None, :]
    return images.masked_fill(covered, 0)
