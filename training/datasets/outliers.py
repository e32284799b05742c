"""Synthetic outliers: images unlike the training data, against which the novelty score is fitted.

Pure functions from images to images, [n, channels, height, width] between 0 and 1. Some destroy the content of training
images and keep their colours, so that colours alone do not reveal an outlier; others draw new images.
"""

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.nn import functional

from training.datasets.composed import SILHOUETTE
from training.datasets.patterns import blobs, grounds, prints
from training.datasets.pixels import as_many, to_images, to_pixels

SHAPES_PER_IMAGE = 5  # drawn over one another
PART = 0.3, 0.6  # of the height or width of what an image shows
DRAWN_AT_ONCE = 1_000  # small images: of large ones all together take gigabytes
COARSE_SIDE, PIXELATED_SIDE = 3, 6  # squares a side to which an image is reduced


def outliers(pixels: Tensor, generator: Generator) -> Tensor:
    """Return an outlier for each training image, uint8 [n, h, w, c], with equal numbers of each kind.

    For few images there are fewer kinds: two of the kinds combine two images, and would return a single one unchanged.
    """
    made, at_once = torch.empty_like(pixels), as_many(DRAWN_AT_ONCE, pixels)
    kinds = KINDS[: max(1, len(pixels) // 2)]
    places = torch.arange(len(pixels)).tensor_split(len(kinds))
    for kind, own in zip(kinds, places, strict=True):
        for part in filter(len, own.tensor_split(len(own) // at_once + 1)):
            drawn = kind(to_images(pixels[part]), generator)
            grey = part % 2 == 0  # every other one, so that a lack of colour alone is not a sign of an outlier
            drawn[grey] = drawn[grey].mean(1, keepdim=True)
            made[part] = to_pixels(drawn)
    return made


def shuffled(images: Tensor, generator: Generator, across: int = 2) -> Tensor:
    """Cut each image into tiles, so many across and so many down, and put them in another order."""
    n, channels, height, width = images.shape
    tall, wide = height // across, width // across
    cut = images[:, :, : tall * across, : wide * across].unfold(2, tall, tall).unfold(3, wide, wide)
    tiles = cut.flatten(2, 3)  # [n, channels, tiles, tall, wide]
    order = torch.rand(n, across**2, generator=generator).argsort(1)
    untouched = (order.diff(dim=1) > 0).all(1)
    order[untouched] = order[untouched].roll(1, 1)
    mixed = tiles.gather(2, order[:, None, :, None, None].expand_as(tiles)).unflatten(2, (across, across))
    laid = mixed.permute(0, 1, 2, 4, 3, 5).reshape(n, channels, tall * across, wide * across)
    return functional.pad(laid, (0, width - wide * across, 0, height - tall * across), mode="replicate")


def finely_shuffled(images: Tensor, generator: Generator) -> Tensor:
    """Cut each image into four tiles across and four down, and put them in another order."""
    return shuffled(images, generator, across=4)


def magnified(images: Tensor, generator: Generator) -> Tensor:
    """Show a small part of each image, from a seventh to two fifths of its side."""
    n = len(images)
    part = 0.15 + 0.25 * torch.rand(n, generator=generator)
    placed = torch.zeros(n, 2, 3)
    placed[:, 0, 0] = placed[:, 1, 1] = part
    placed[:, :, 2] = (2 * torch.rand(n, 2, generator=generator) - 1) * (1 - part[:, None])
    grid = functional.affine_grid(placed, list(images.shape), align_corners=False)
    parts: Tensor = functional.grid_sample(images, grid, "bicubic", "reflection", align_corners=False)
    return parts


def parts(images: Tensor, generator: Generator) -> Tensor:
    """Keep the upper, lower, left or right part of what each image shows on black, and enlarge it to the whole image.

    Of garments that makes others: shorts of trousers, and skirts of dresses.
    """
    n = len(images)
    spans = torch.stack([_span(images.amax((1, axis)) > SILHOUETTE) for axis in (3, 2)], 1)  # [n, down and across, 2]
    share = PART[0] + (PART[1] - PART[0]) * torch.rand(n, generator=generator)
    side = torch.randint(4, (n,), generator=generator)  # above, below, left, right
    axis, end = side // 2, side % 2
    every = torch.arange(n)
    kept, cut = spans[every, axis, end], spans[every, axis, 1 - end]
    spans[every, axis, 1 - end] = kept + (cut - kept) * share
    middle, half = spans.mean(2), (spans[..., 1] - spans[..., 0]) / 2
    placed = torch.zeros(n, 2, 3)
    placed[:, 0, 0] = placed[:, 1, 1] = half.amax(1)
    placed[:, :, 2] = middle.flip(1)
    grid = functional.affine_grid(placed, list(images.shape), align_corners=False)
    inside = ((grid.flip(3) - middle[:, None, None]).abs() <= half[:, None, None]).all(3)
    enlarged: Tensor = functional.grid_sample(images, grid, "bicubic", align_corners=False) * inside[:, None]
    return enlarged


def scrambled(images: Tensor, generator: Generator) -> Tensor:
    """Keep the amplitude of each frequency and draw a random phase: textures of the same colours."""
    n, _, height, width = images.shape
    phases = torch.fft.fft2(torch.randn(n, 1, height, width, generator=generator))
    phases[..., 0, 0] = 1  # the mean stays
    textures: Tensor = torch.fft.ifft2(torch.fft.fft2(images).abs() * phases / phases.abs()).real
    return textures


def coarse(images: Tensor, generator: Generator) -> Tensor:
    """Reduce each image to three by three colours, smoothly joined."""
    small = functional.adaptive_avg_pool2d(images, COARSE_SIDE)
    return functional.interpolate(small, images.shape[2:], mode="bicubic")


def pixelated(images: Tensor, generator: Generator) -> Tensor:
    """Reduce each image to six by six squares of one colour each."""
    return functional.interpolate(functional.adaptive_avg_pool2d(images, PIXELATED_SIDE), images.shape[2:])


def clouds(images: Tensor, generator: Generator) -> Tensor:
    """Draw noise whose frequencies f fall as 1/f^0.5 to 1/f^2, from grain to clouds."""
    n, channels, height, width = images.shape
    down, across = torch.fft.fftfreq(height)[:, None], torch.fft.fftfreq(width)[None]
    frequency = (down.square() + across.square()).sqrt()
    frequency[0, 0] = 1.0
    steep = 0.5 + 1.5 * torch.rand(n, 1, 1, 1, generator=generator)
    waves = torch.fft.fft2(torch.randn(n, channels, height, width, generator=generator)) / frequency**steep
    noise = torch.fft.ifft2(waves).real
    standard = (noise - noise.mean((1, 2, 3), keepdim=True)) / noise.std((1, 2, 3), keepdim=True)
    contrast, level = torch.rand(2, n, 1, 1, 1, generator=generator)
    drawn: Tensor = standard * (0.08 + 0.3 * contrast) + 0.2 + 0.6 * level
    return drawn


def stripes(images: Tensor, generator: Generator) -> Tensor:
    """Draw stripes or checks of two colours, hard or soft."""
    n, channels, height, width = images.shape
    down, across = _grid(height, width)
    angle, pitch, phase, crossing, hard = torch.rand(5, n, 1, 1, generator=generator)
    cos, sin, pitch = (math.pi * angle).cos(), (math.pi * angle).sin(), 0.15 + 1.2 * pitch
    waves = torch.sin((across * cos + down * sin) * pitch + 2 * math.pi * phase)
    checks = waves * torch.sin((down * cos - across * sin) * pitch)
    waves = torch.where(crossing < 0.5, waves, checks)
    waves = torch.where(hard < 0.5, waves, waves.sign())
    first, second = torch.rand(2, n, channels, 1, 1, generator=generator)
    drawn: Tensor = first + (second - first) * (waves[:, None] + 1) / 2
    return drawn


def shapes(images: Tensor, generator: Generator) -> Tensor:
    """Draw ellipses and rectangles, full or hollow, over one another; half of the images are on black."""
    n, channels, height, width = images.shape
    down, across = _grid(height, width)
    dark = torch.rand(n, 1, 1, 1, generator=generator) < 0.5
    canvas = (torch.rand(n, channels, 1, 1, generator=generator) * ~dark).expand(n, channels, height, width)
    for _ in range(SHAPES_PER_IMAGE):
        left, top, wide, tall, angle, rectangle, hollow = torch.rand(7, n, 1, 1, generator=generator)
        x, y, cos, sin = across - left * width, down - top * height, (math.pi * angle).cos(), (math.pi * angle).sin()
        u = (x * cos + y * sin) / (1 + 0.35 * width * wide)
        v = (y * cos - x * sin) / (1 + 0.35 * height * tall)
        reach = torch.where(rectangle < 0.5, torch.maximum(u.abs(), v.abs()), torch.hypot(u, v))
        inside = (reach < 1) & ((hollow < 0.6) | (reach > 0.6))
        canvas = torch.where(inside[:, None], torch.rand(n, channels, 1, 1, generator=generator), canvas)
    return canvas


def mixed(images: Tensor, generator: Generator) -> Tensor:
    """Show two images at once, each half as strong."""
    return (images + images.roll(1, 0)) / 2


def joined(images: Tensor, generator: Generator) -> Tensor:
    """Join a half of each image to the other half of another: upper to lower, or left to right."""
    others, half = images.roll(1, 0), len(images) // 2
    height, width = (side // 2 for side in images.shape[2:])
    stacked = torch.cat([images[:half, :, :height], others[:half, :, height:]], 2)
    beside = torch.cat([images[half:, :, :, :width], others[half:, :, :, width:]], 3)
    return torch.cat([stacked, beside])


def bare(images: Tensor, generator: Generator) -> Tensor:
    """Draw the grounds that clothes are photographed on, with nothing on them."""
    return _like(images, grounds(len(images), max(images.shape[2:]), generator))


def patches(images: Tensor, generator: Generator) -> Tensor:
    """Draw printed cloth in outlines that are no garment's: half of it on a ground, half on black."""
    n, side = len(images), max(images.shape[2:])
    mask, cloth, ground = blobs(n, side, generator), prints(n, side, generator), grounds(n, side, generator)
    ground[::2] = 0
    return _like(images, ground + (cloth - ground) * mask)


def _like(images: Tensor, drawn: Tensor) -> Tensor:
    """Return drawn squares [n, 3, side, side] in the shape of images [n, channels, height, width]."""
    _, channels, height, width = images.shape
    cut = drawn[:, :, :height, :width]
    return cut if channels > 1 else cut.mean(1, keepdim=True)


def _span(shown: Tensor) -> Tensor:
    """Return where the True of a mask [n, size] begin and end, [n, 2], from -1 to 1; without any, the whole."""
    shown, size = shown | ~shown.any(1, keepdim=True), shown.shape[1]
    first, behind = shown.int().argmax(1), size - shown.flip(1).int().argmax(1)
    return 2 * torch.stack([first, behind], 1) / size - 1


def _grid(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return the row and the column of each pixel, as [height, 1] and [1, width]."""
    return torch.arange(height)[:, None].float(), torch.arange(width)[None].float()


Kind = Callable[[Tensor, Generator], Tensor]

KINDS: tuple[Kind, ...] = (
    shuffled, finely_shuffled, magnified, scrambled, coarse, pixelated, clouds, stripes, shapes, mixed, joined,
    bare, patches,
)  # fmt: skip
