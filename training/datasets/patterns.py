"""Drawn patterns: the grounds that clothes are photographed on, prints and folds of cloth, outlines, noise.

Pure functions of a number n, a side in pixels and a generator; images [n, channels, side, side] mostly between 0 and 1.
"""

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.nn import functional

WOVEN_BANDS = 8  # of a repeat
SMOOTH = 1.5  # noise that falls so steeply has hardly any detail
HALVED_SIDE = 48  # pixels from which such noise is drawn at half the side, in a quarter of the time


def grounds(n: int, side: int, generator: Generator) -> Tensor:
    """Return grounds [n, 3, side, side] to lay things on: equal numbers of each kind, some with another beside it."""
    drawn = torch.cat([kind(len(part), side, generator) for kind, part in _parts(n)])
    drawn = drawn[torch.randperm(n, generator=generator)]
    # The edge of a bed, a skirting board, the frame of a door: two grounds, or two shades of one.
    across, _ = turned_axes(n, side, generator)
    beyond = across > between(0.3, 1.2, n, generator)
    other = torch.where(uniform(n, generator) < 0.5, drawn.roll(1, 0), drawn * between(0.4, 1.3, n, generator))
    return torch.where(beyond & (uniform(n, generator) < 0.4), other, drawn).clamp(0, 1)


def plain(n: int, side: int, generator: Generator) -> Tensor:
    """Draw a wall or a sheet of one colour, often nearly white, with a little unevenness."""
    uneven = noise(n, 1, side, generator, steep=2.0) * between(0.0, 0.05, n, generator)
    return colours(n, generator) * (1 + uneven)


def folded(n: int, side: int, generator: Generator) -> Tensor:
    """Draw a cloth of one colour with folds: a sheet, a blanket."""
    return colours(n, generator) * (1 + folds(n, side, generator) * between(0.03, 0.25, n, generator))


def printed(n: int, side: int, generator: Generator) -> Tensor:
    """Draw a cloth with a print: a bedspread, a carpet with ornaments."""
    return prints(n, side, generator) * (1 + folds(n, side, generator) * between(0.0, 0.15, n, generator))


def wood(n: int, side: int, generator: Generator) -> Tensor:
    """Draw boards: grain along one direction, joints across it, in the colours of wood or greyed."""
    across, _ = turn = turned_axes(n, side, generator)
    grain = _along(turn, n, side, generator)
    pitch, phase = between(0.15, 0.8, n, generator), uniform(n, generator)
    board = (across / pitch + phase).floor()
    shade = torch.sin(board * 12.9 + phase * 40) * between(0.0, 0.15, n, generator)
    joint = (((across / pitch + phase) % 1) < 0.06) * between(0.0, 0.6, n, generator)
    warm = torch.tensor([1.0, 0.76, 0.52]).view(1, 3, 1, 1)
    tint = warm + (1 - warm) * uniform(n, generator) ** 2
    light = between(0.2, 0.95, n, generator)
    return light * tint * (1 + shade + grain * between(0.03, 0.2, n, generator)) * (1 - joint)


def carpet(n: int, side: int, generator: Generator) -> Tensor:
    """Draw pile: fine noise over a colour that is a little uneven."""
    pile = noise(n, 1, side, generator, steep=0.3) * between(0.05, 0.3, n, generator)
    uneven = noise(n, 3, side, generator, steep=1.3) * between(0.0, 0.12, n, generator)
    return colours(n, generator) * (1 + pile + uneven)


def tiles(n: int, side: int, generator: Generator) -> Tensor:
    """Draw tiles with joints between them, or checks of two colours."""
    across, down = turned_axes(n, side, generator)
    pitch = between(0.2, 1.2, n, generator)
    column, row = across / pitch + uniform(n, generator), down / pitch + uniform(n, generator)
    joint = torch.minimum(column % 1, row % 1) < between(0.03, 0.1, n, generator)
    dark = ((column.floor() + row.floor()) % 2 > 0) & (uniform(n, generator) < 0.3)
    stone = colours(n, generator) * (1 + noise(n, 1, side, generator, 1.2) * between(0.0, 0.1, n, generator))
    shaded = stone * (1 - joint * between(0.0, 0.5, n, generator))
    return torch.where(dark, colours(n, generator), shaded)


Draw = Callable[[int, int, Generator], Tensor]

GROUNDS: tuple[Draw, ...] = (plain, plain, folded, printed, wood, wood, carpet, tiles)


def blobs(n: int, side: int, generator: Generator) -> Tensor:
    """Return masks [n, 1, side, side] of round, angular or ragged outlines about the middle."""
    across, down = turned_axes(n, side, generator)
    power = 2 ** between(0.3, 3, n, generator)  # from a rhombus to a rectangle
    wide, tall = between(0.35, 0.9, n, generator), between(0.35, 0.9, n, generator)
    reach = ((across / wide).abs() ** power + (down / tall).abs() ** power) ** (1 / power)
    ragged = noise(n, 1, side, generator, steep=2.0) * between(0.0, 0.25, n, generator)
    return ((1 - reach + ragged) * side / 6).clamp(0, 1)


def colours(n: int, generator: Generator) -> Tensor:
    """Return colours [n, 3, 1, 1] as clothes and rooms have them: a third vivid, the others muted, white or black."""
    hue, kind = uniform(n, generator), uniform(n, generator)
    saturation = torch.where(kind < 0.35, between(0.5, 1, n, generator), between(0, 0.35, n, generator))
    value = torch.where(
        kind < 0.8, between(0.1, 1, n, generator), (kind > 0.9) * 0.85 + between(0.03, 0.15, n, generator)
    )
    saturation = torch.where(kind < 0.8, saturation, saturation * 0.3)
    channel = torch.tensor([0.0, 1 / 3, 2 / 3]).view(1, 3, 1, 1)
    full = ((((hue + channel) % 1) * 6 - 3).abs() - 1).clamp(0, 1)
    return value * (1 - saturation + saturation * full)


def prints(n: int, side: int, generator: Generator) -> Tensor:
    """Return cloth [n, 3, side, side] with a print of two or three colours: stripes, checks, dots, flowers."""
    across, down = turned_axes(n, side, generator)
    pitch = 2 * math.pi / (0.1 + 0.7 * uniform(n, generator) ** 2)
    first, second = torch.sin(across * pitch + 6 * uniform(n, generator)), torch.sin(down * pitch)
    spots = noise(n, 1, side, generator, steep=1.6, low=3)
    kind = uniform(n, generator)
    few = max(1, n // 3)
    wave = torch.where(kind < 0.25, first, torch.where(kind < 0.45, torch.maximum(first, second), first * second))
    wave = torch.where(kind < 0.65, wave, spots)
    edge = (wave - between(-0.5, 0.7, n, generator)) * between(1, 6, n, generator) + 0.5
    ground, ink, third = (colours(n, generator) for _ in range(3))
    ink = torch.where((kind > 0.8) & (noise(n, 1, side, generator, 1.5) > 0), third, ink)
    printed_on = ground + (ink - ground) * edge.clamp(0, 1)
    return torch.cat([woven(few, side, generator), printed_on[few:]])


def woven(n: int, side: int, generator: Generator) -> Tensor:
    """Return cloth [n, 3, side, side] with bands of several colours, or two such crossing: plaid."""
    across, down = turned_axes(n, side, generator)
    bands = torch.stack([colours(n * WOVEN_BANDS, generator).view(n, WOVEN_BANDS, 3) for _ in range(2)], 1)
    repeats = between(0.5, 3, n, generator)
    weft, warp = (
        line.gather(1, place.flatten(1)[..., None].expand(-1, -1, 3)).transpose(1, 2).unflatten(2, (side, side))
        for line, place in zip(
            bands.unbind(1),
            ((((1 + axis) * repeats) % 1 * WOVEN_BANDS).long().clamp(0, WOVEN_BANDS - 1) for axis in (across, down)),
            strict=True,
        )
    )
    return torch.where(uniform(n, generator) < 0.6, weft, (weft + warp) / 2)


def folds(n: int, side: int, generator: Generator) -> Tensor:
    """Return the light and dark of folds [n, 1, side, side], mean 0: broad waves, and crests along one direction."""
    half = side // 2  # they are broad enough
    soft = _along(turned_axes(n, half, generator), n, half, generator, steep=1.8)
    crests = 1 - 2 * _along(turned_axes(n, half, generator), n, half, generator, steep=1.6).abs()
    both = soft + (crests - crests.mean((1, 2, 3), keepdim=True)) * between(0.0, 0.7, n, generator)
    return functional.interpolate(both, (side, side), mode="bilinear")


def noise(n: int, channels: int, side: int, generator: Generator, steep: float = 1.5, low: int = 0) -> Tensor:
    """Return noise [n, channels, side, side] of mean 0 and deviation 1 whose frequencies f fall as 1/f^steep.

    low: the frequencies, in waves a side, below which there is none.
    """
    if steep >= SMOOTH and side >= HALVED_SIDE:  # nothing is lost
        coarse = noise(n, channels, side // 2, generator, steep, low)
        return functional.interpolate(coarse, (side, side), mode="bilinear")
    frequency = torch.hypot(torch.fft.fftfreq(side)[:, None], torch.fft.rfftfreq(side)[None]) * side
    weight = frequency.clamp_min(1) ** -steep * (frequency > low)
    waves = torch.fft.rfft2(torch.randn(n, channels, side, side, generator=generator))
    drawn = torch.fft.irfft2(waves * weight, s=(side, side))
    standard: Tensor = drawn / drawn.std((2, 3), keepdim=True).clamp_min(1e-6)
    return standard


def turned_axes(n: int, side: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Return coordinates from about -1 to 1 along two axes at right angles, [n, 1, side, side] each, turned anyhow."""
    line = torch.linspace(-1, 1, side)
    upright = (uniform(n, generator) < 0.4) * (math.pi / 2) * torch.randint(0, 4, (n, 1, 1, 1), generator=generator)
    angle = torch.where(uniform(n, generator) < 0.5, upright, 2 * math.pi * uniform(n, generator))
    return line[None] * angle.cos() + line[:, None] * angle.sin(), line[:, None] * angle.cos() - line[
        None
    ] * angle.sin()


def _along(turn: tuple[Tensor, Tensor], n: int, side: int, generator: Generator, steep: float = 1.0) -> Tensor:
    """Return noise [n, 1, side, side] stretched along one direction of turned axes."""
    across, down = turn
    places = torch.stack([down * between(0.08, 0.4, n, generator), across * 0.7], -1)[:, 0]
    drawn = noise(n, 1, side, generator, steep)
    stretched: Tensor = functional.grid_sample(drawn, places, "bilinear", "reflection", align_corners=False)
    return stretched


def _parts(n: int) -> list[tuple[Draw, Tensor]]:
    return [
        (kind, part)
        for kind, part in zip(GROUNDS, torch.arange(n).tensor_split(len(GROUNDS)), strict=True)
        if len(part)
    ]


def uniform(n: int, generator: Generator) -> Tensor:
    """Return values [n, 1, 1, 1] between 0 and 1."""
    return torch.rand(n, 1, 1, 1, generator=generator)


def between(low: float, high: float, n: int, generator: Generator) -> Tensor:
    """Return values [n, 1, 1, 1] between these."""
    return low + (high - low) * uniform(n, generator)
