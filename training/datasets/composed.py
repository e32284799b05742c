"""Composed photos: garments laid on grounds, as people photograph clothes, and things as cameras see them.

Pure functions of images and a generator, images [n, channels, height, width] between 0 and 1. A garment of
Fashion-MNIST gives the outline and the seams; cloth, print, folds, ground, shadow and light are drawn. Nothing is taken
from a photo.
"""

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional

from training.datasets.patterns import between, blobs, colours, folds, grounds, noise, prints, turned_axes, uniform

MICRO_BATCH = 250  # images that are composed at once: so many stay in the processor's cache
WORK_SIDE = 48  # pixels a side on which a photo is composed, before it is brought to its size
SILHOUETTE = 0.04  # brightness above which a pixel of Fashion-MNIST belongs to the garment
LUMA = 0.299, 0.587, 0.114  # ITU-R BT.601, as Pillow turns colours to grey
GREY_SHARE = 0.4  # of the photos that are without colour


def garment_photos(garments: Tensor, generator: Generator, side: int = 32, tidy: bool = False) -> Tensor:
    """Return a photo [n, 3, side, side] of each garment [n, 1, h, w], which is white on black as in Fashion-MNIST.

    Most lie on a ground or hang before one; a tenth are shop photos on white, and a tenth the data set's own look.
    tidy: one garment a photo, nearly upright; otherwise some are pairs and some lie on their side.
    """
    n = len(garments)
    look, mask = _place(garments, generator, tidy)
    photos = _lay(_cloth(look, mask, generator), mask, grounds(n, WORK_SIDE, generator), generator)
    photos = _lit(photos, generator)
    kind = uniform(n, generator)
    shop = 1 - mask * (1 - look)
    photos = torch.where(kind < 0.1, look.expand_as(photos), photos)
    photos = torch.where((kind >= 0.1) & (kind < 0.15), shop.expand_as(photos), photos)
    return developed(photos, generator, side)


def thing_photos(things: Tensor, generator: Generator, side: int = 32, tidy: bool = False) -> Tensor:
    """Return a photo [n, 3, side, side] of each thing [n, 3, h, w]: nearer or farther, in other light, blurred or grey.

    A fifth are parts of the image, cut out and laid on the grounds of the garments: a ground alone must not decide.
    tidy: none are, and the thing stays in view.
    """
    n = len(things)
    look = _seen_through(things, _frame(n, generator, zoom=(0.6, 1.4) if tidy else (0.8, 1.8), turn=8), "reflection")
    look = look + (look - _blurred(look, 3)) * between(0.3, 1.5, n, generator)  # as sharp as the cloth of a garment
    few = 0 if tidy else max(1, n // 5)
    if few:
        laid = _lay(look[:few], blobs(few, WORK_SIDE, generator), grounds(few, WORK_SIDE, generator), generator)
        look = torch.cat([laid, look[few:]])
    return developed(_lit(look, generator), generator, side)


def developed(photos: Tensor, generator: Generator, side: int) -> Tensor:
    """Return photos [n, 3, side, side], reduced and between 0 and 1: some flat, grainy, blurred, sharpened or grey."""
    n = len(photos)
    reduced = functional.interpolate(photos, (side, side), mode="bicubic", antialias=True)
    # Cameras and resamplings differ most in the finest detail: it must not decide.
    soft = _blurred(reduced, 3)
    softer = _blurred(soft, 5)
    fine = torch.exp(between(math.log(0.1), math.log(2.2), n, generator))
    reduced = softer + (soft - softer) * between(0.5, 1.6, n, generator) + (reduced - soft) * fine
    grain = torch.randn(reduced.shape, generator=generator) * 0.05 * uniform(n, generator).square()
    return to_grey(reduced + grain, uniform(n, generator) < GREY_SHARE).clamp(0, 1)


def to_grey(images: Tensor, which: Tensor) -> Tensor:
    """Return images [n, 3, h, w], those of a mask [n, 1, 1, 1] without colour."""
    grey = (images * torch.tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
    return torch.where(which, grey.expand_as(images), images)


def _cloth(look: Tensor, mask: Tensor, generator: Generator) -> Tensor:
    """Return cloth [n, 3, h, w] for placed garments: colour, print or motif, with the garment's seams and folds."""
    n, side = len(look), look.shape[-1]
    cloth = colours(n, generator).repeat(1, 1, side, side)
    quarter = max(1, n // 4)
    cloth[:quarter] = prints(quarter, side, generator)
    motif = _shifted(blobs(quarter, side, generator), generator)
    motif = motif * (noise(quarter, 1, side, generator, 1.0, low=2) > between(-1, 0.8, quarter, generator))
    cloth[n - quarter :] = torch.where(motif > 0.5, prints(quarter, side, generator), cloth[n - quarter :])
    around, inside = _blurred(look, 9), _blurred(mask, 9).clamp_min(0.05)
    seams = look - around / inside  # brighter or darker than the garment about it
    light = 1 + seams * between(0.2, 1.4, n, generator)
    light = light + folds(n, side, generator) * between(0.03, 0.22, n, generator)
    light = light + noise(n, 1, side, generator, 0.4) * between(0.0, 0.06, n, generator)
    return (cloth * light + 0.1 * (light - 1)).clamp(0, 1)


def _lay(cloth: Tensor, mask: Tensor, ground: Tensor, generator: Generator) -> Tensor:
    """Lay what a mask shows on a ground, which it casts a shadow on; often the ground is out of focus."""
    n = len(mask)
    soft = _blurred(ground, 3)
    ground = soft + (ground - soft) * between(0.0, 1.2, n, generator).clamp_max(1)
    shadow = _shifted(_blurred(mask, 5), generator) * between(0, 0.6, n, generator)
    return ground * (1 - shadow) * (1 - mask) + cloth * mask


def _place(garments: Tensor, generator: Generator, tidy: bool) -> tuple[Tensor, Tensor]:
    """Return garments and their outlines, [n, 1, WORK_SIDE, WORK_SIDE] each: at any size and place, turned and bent."""
    n = len(garments)
    few = 0 if tidy else max(1, n // 8)
    if few:
        garments = torch.cat([garments[: n - few], _paired(garments[n - few :])])
    covered = (garments > SILHOUETTE).float()
    # What lies between two covered pixels of a row and of a column is the garment too: dark cloth, not ground.
    rows = covered.cummax(3).values * covered.flip(3).cummax(3).values.flip(3)
    columns = covered.cummax(2).values * covered.flip(2).cummax(2).values.flip(2)
    filled = torch.where(uniform(n, generator) < 0.7, rows * columns, covered)
    grid = _frame(n, generator, zoom=(0.8, 1.9), turn=10 if tidy else 20, aspect=0.25, quarter=0.0 if tidy else 0.12)
    bend = torch.stack([noise(n, 1, WORK_SIDE, generator, 2.2)[:, 0] for _ in range(2)], 3)
    grid = grid + bend * between(0.0, 0.03 if tidy else 0.07, n, generator)
    look = _seen_through(garments, grid, "zeros").clamp(0, 1)
    mask = ((_seen_through(filled, grid, "zeros") - 0.5) * 3 + 0.5).clamp(0, 1)
    return look, mask


def _paired(garments: Tensor) -> Tensor:
    """Return garments [n, 1, h, w] with their mirror images beside them, half of them turned: as shoes stand."""
    half = len(garments) // 2
    turned = torch.cat([garments[:half].rot90(1, (2, 3)), garments[half:]])
    pairs = torch.cat([turned, turned.flip(3)], 3)
    return functional.interpolate(pairs, garments.shape[2:], mode="bilinear", antialias=True)


def _frame(
    n: int, generator: Generator, zoom: tuple[float, float], turn: float, aspect: float = 0.1, quarter: float = 0.0
) -> Tensor:
    """Return the places [n, WORK_SIDE, WORK_SIDE, 2] of an image that a camera sees.

    zoom: the share of a side that is seen. turn: degrees at most. aspect: the largest stretch. quarter: the share of
    quarter turns.
    """
    scale = torch.exp(between(math.log(zoom[0]), math.log(zoom[1]), n, generator)).flatten()
    stretch = between(1 - aspect, 1 + aspect, n, generator).flatten().sqrt()
    angle = math.radians(turn) * between(-1, 1, n, generator).flatten()
    quarters = (uniform(n, generator).flatten() < quarter) * torch.randint(1, 4, (n,), generator=generator)
    angle = angle + math.pi / 2 * quarters
    flip = (uniform(n, generator).flatten() < 0.5) * 2.0 - 1
    shift = 0.3 * between(-1, 1, 2 * n, generator).view(n, 2) * (scale[:, None] - 0.5).abs()
    rows = torch.stack([flip * scale * stretch * angle.cos(), -flip * scale * stretch * angle.sin(), shift[:, 0]], 1)
    columns = torch.stack([scale / stretch * angle.sin(), scale / stretch * angle.cos(), shift[:, 1]], 1)
    return functional.affine_grid(torch.stack([rows, columns], 1), [n, 1, WORK_SIDE, WORK_SIDE], align_corners=False)


def _seen_through(images: Tensor, grid: Tensor, padding: str) -> Tensor:
    seen: Tensor = functional.grid_sample(images, grid, "bicubic", padding, align_corners=False)
    return seen


def _lit(photos: Tensor, generator: Generator) -> Tensor:
    """Return photos in other light: brighter to one side, tinted, of more or less contrast."""
    n, side = len(photos), photos.shape[-1]
    across, _ = turned_axes(n, side, generator)
    light = 1 + across * between(0.0, 0.25, n, generator)
    tint = 1 + 0.12 * torch.randn(n, 3, 1, 1, generator=generator) * uniform(n, generator)
    lit = (photos * light * tint).clamp(0, 1) ** torch.exp(between(-0.4, 0.4, n, generator))
    return lit * between(0.65, 1.05, n, generator) + between(0.0, 0.15, n, generator)


def _shifted(masks: Tensor, generator: Generator) -> Tensor:
    """Return masks [n, 1, h, w] moved together in small groups, by up to a tenth of a side."""
    reach = masks.shape[-1] // 10
    groups = masks.split(16)
    steps = torch.randint(-reach, reach + 1, (len(groups), 2), generator=generator).tolist()
    return torch.cat([group.roll(step, (2, 3)) for group, step in zip(groups, steps, strict=True)])


def _blurred(images: Tensor, window: int) -> Tensor:
    """Return the means of squares of this odd side, cut off at the border."""
    half = window // 2
    rows = functional.avg_pool2d(images, (window, 1), 1, (half, 0), count_include_pad=False)
    return functional.avg_pool2d(rows, (1, window), 1, (0, half), count_include_pad=False)
