"""Augmentations: pure functions on a batch of images [n, channels, height, width]."""

import torch
from torch import Tensor
from torch.nn import functional


def flip_lr(images: Tensor, mask: Tensor) -> Tensor:
    """Flip the images of a mask [n] left to right."""
    return torch.where(mask[:, None, None, None], images.flip(3), images)


def random_shift(images: Tensor, generator: torch.Generator, max_pixels: int = 2) -> Tensor:
    """Shift each image by up to so many pixels along both axes, padded by reflection at the border."""
    n, _, height, width = images.shape
    padded = functional.pad(images, (max_pixels,) * 4, mode="reflect")
    corner = _drawn(2 * max_pixels + 1, (2, n, 1), generator).to(images.device)
    rows = (corner[0] + torch.arange(height, device=images.device))[:, None, :, None]
    columns = (corner[1] + torch.arange(width, device=images.device))[:, None, None, :]
    batch, channels = (torch.arange(size, device=images.device) for size in images.shape[:2])
    return padded[batch[:, None, None, None], channels[None, :, None, None], rows, columns]


def random_zoom(images: Tensor, generator: torch.Generator, least: float = 0.75) -> Tensor:
    """Show a square of each image in full size: at a random place, of a random share of the width from the least on."""
    n = len(images)
    share, x, y = torch.rand(3, n, generator=generator, device=generator.device)
    share = least + (1 - least) * share
    zero = torch.zeros_like(share)
    rows = [share, zero, (2 * x - 1) * (1 - share)], [zero, share, (2 * y - 1) * (1 - share)]
    matrices = torch.stack([torch.stack(row, 1) for row in rows], 1).to(images.device)
    grid = functional.affine_grid(matrices, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def cutout(images: Tensor, generator: torch.Generator, side: int = 12) -> Tensor:
    """Set a square of this side to 0 at a random place in each image (DeVries and Taylor 2017)."""
    n, _, height, width = images.shape
    top = _drawn(height - side + 1, (n, 1), generator).to(images.device)
    left = _drawn(width - side + 1, (n, 1), generator).to(images.device)
    rows = torch.arange(height, device=images.device) - top
    columns = torch.arange(width, device=images.device) - left
    covered = ((rows >= 0) & (rows < side))[:, None, :, None] & ((columns >= 0) & (columns < side))[:, None, None, :]
    return images.masked_fill(covered, 0)


def _drawn(below: int, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Return random integers from 0 on, on the generator's device."""
    return torch.randint(below, shape, generator=generator, device=generator.device)
