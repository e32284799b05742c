"""Composed photos: garments laid on grounds, as people photograph clothes, and things as cameras see them.

Pure functions of images and a generator, images [n, channels, height, width] between 0 and 1. A garment of
Fashion-MNIST gives the outline and the seams; cloth, print, folds, ground, shadow and light are drawn. Nothing is taken
from a photo.
"""

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.nn import functional

WORK_SIDE = 48  # pixels a side on which a photo is composed, before it is brought to its size
SILHOUETTE = 0.04  # brightness above which a pixel of Fashion-MNIST belongs to the garment
LUMA = 0.299, 0.587, 0.114  # ITU-R BT.601, as Pillow turns colours to grey
WOVEN_BANDS = 8  # of a repeat
SMOOTH = 1.5  # noise that falls so steeply has hardly any detail
GREY_SHARE = 0.4  # of the photos that are without colour


def garment_photos(garments: Tensor, generator: Generator, side: int = 32) -> Tensor:
    """Return a photo [n, 3, side, side] of each garment [n, 1, h, w], which is white on black as in Fashion-MNIST.

    Most lie on a ground or hang before one; a tenth are shop photos on white, and a tenth the data set's own look.
    """
    n = len(garments)
    look, mask = _place(garments, generator)
    photos = _lay(_cloth(look, mask, generator), mask, grounds(n, WORK_SIDE, generator), generator)
    photos = _lit(photos, generator)
    kind = _uniform(n, generator)
    shop = 1 - mask * (1 - look)
    photos = torch.where(kind < 0.1, look.expand_as(photos), photos)
    photos = torch.where((kind >= 0.1) & (kind < 0.15), shop.expand_as(photos), photos)
    return developed(photos, generator, side)


def thing_photos(things: Tensor, generator: Generator, side: int = 32) -> Tensor:
    """Return a photo [n, 3, side, side] of each thing [n, 3, h, w]: nearer or farther, in other light, blurred or grey.

    A fifth are parts of the image, cut out and laid on the grounds of the garments: a ground alone tells nothing.
    """
    n = len(things)
    look = _seen_through(things, _frame(n, generator, zoom=(0.8, 1.8), turn=8), "reflection")
    look = look + (look - _blurred(look, 3)) * _between(0.3, 1.5, n, generator)  # as sharp as the cloth of a garment
    few = max(1, n // 5)
    laid = _lay(look[:few], blobs(few, WORK_SIDE, generator), grounds(few, WORK_SIDE, generator), generator)
    return developed(_lit(torch.cat([laid, look[few:]]), generator), generator, side)


def developed(photos: Tensor, generator: Generator, side: int) -> Tensor:
    """Return photos [n, 3, side, side], reduced and between 0 and 1: some flat, grainy, blurred, sharpened or grey."""
    n = len(photos)
    reduced = functional.interpolate(photos, (side, side), mode="bicubic", antialias=True)
    # Cameras and resamplings differ most in the finest detail: it must tell nothing.
    soft = _blurred(reduced, 3)
    softer = _blurred(soft, 5)
    fine = torch.exp(_between(math.log(0.1), math.log(2.2), n, generator))
    reduced = softer + (soft - softer) * _between(0.5, 1.6, n, generator) + (reduced - soft) * fine
    grain = torch.randn(reduced.shape, generator=generator) * 0.05 * _uniform(n, generator).square()
    return to_grey(reduced + grain, _uniform(n, generator) < GREY_SHARE).clamp(0, 1)


def to_grey(images: Tensor, which: Tensor) -> Tensor:
    """Return images [n, 3, h, w], those of a mask [n, 1, 1, 1] without colour."""
    grey = (images * torch.tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
    return torch.where(which, grey.expand_as(images), images)


def blobs(n: int, side: int, generator: Generator) -> Tensor:
    """Return masks [n, 1, side, side] of round, angular or ragged outlines about the middle."""
    across, down = _turned(n, side, generator)
    power = 2 ** _between(0.3, 3, n, generator)  # from a rhombus to a rectangle
    wide, tall = _between(0.35, 0.9, n, generator), _between(0.35, 0.9, n, generator)
    reach = ((across / wide).abs() ** power + (down / tall).abs() ** power) ** (1 / power)
    ragged = noise(n, 1, side, generator, steep=2.0) * _between(0.0, 0.25, n, generator)
    return ((1 - reach + ragged) * side / 6).clamp(0, 1)


def grounds(n: int, side: int, generator: Generator) -> Tensor:
    """Return grounds [n, 3, side, side] to lay things on: equal numbers of each kind, some with another beside it."""
    drawn = torch.cat([kind(len(part), side, generator) for kind, part in _parts(n)])
    drawn = drawn[torch.randperm(n, generator=generator)]
    # The edge of a bed, a skirting board, the frame of a door: two grounds, or two shades of one.
    across, _ = _turned(n, side, generator)
    beyond = across > _between(0.3, 1.2, n, generator)
    other = torch.where(_uniform(n, generator) < 0.5, drawn.roll(1, 0), drawn * _between(0.4, 1.3, n, generator))
    return torch.where(beyond & (_uniform(n, generator) < 0.4), other, drawn).clamp(0, 1)


def plain(n: int, side: int, generator: Generator) -> Tensor:
    """Draw a wall or a sheet of one colour, often nearly white, with a little unevenness."""
    uneven = noise(n, 1, side, generator, steep=2.0) * _between(0.0, 0.05, n, generator)
    return colours(n, generator) * (1 + uneven)


def folded(n: int, side: int, generator: Generator) -> Tensor:
    """Draw a cloth of one colour with folds: a sheet, a blanket."""
    return colours(n, generator) * (1 + folds(n, side, generator) * _between(0.03, 0.25, n, generator))


def printed(n: int, side: int, generator: Generator) -> Tensor:
    """Draw a cloth with a print: a bedspread, a carpet with ornaments."""
    return prints(n, side, generator) * (1 + folds(n, side, generator) * _between(0.0, 0.15, n, generator))


def wood(n: int, side: int, generator: Generator) -> Tensor:
    """Draw boards: grain along one direction, joints across it, in the colours of wood or greyed."""
    across, _ = turn = _turned(n, side, generator)
    grain = _along(turn, n, side, generator)
    pitch, phase = _between(0.15, 0.8, n, generator), _uniform(n, generator)
    board = (across / pitch + phase).floor()
    shade = torch.sin(board * 12.9 + phase * 40) * _between(0.0, 0.15, n, generator)
    joint = (((across / pitch + phase) % 1) < 0.06) * _between(0.0, 0.6, n, generator)
    warm = torch.tensor([1.0, 0.76, 0.52]).view(1, 3, 1, 1)
    tint = warm + (1 - warm) * _uniform(n, generator) ** 2
    light = _between(0.2, 0.95, n, generator)
    return light * tint * (1 + shade + grain * _between(0.03, 0.2, n, generator)) * (1 - joint)


def carpet(n: int, side: int, generator: Generator) -> Tensor:
    """Draw pile: fine noise over a colour that is a little uneven."""
    pile = noise(n, 1, side, generator, steep=0.3) * _between(0.05, 0.3, n, generator)
    uneven = noise(n, 3, side, generator, steep=1.3) * _between(0.0, 0.12, n, generator)
    return colours(n, generator) * (1 + pile + uneven)


def tiles(n: int, side: int, generator: Generator) -> Tensor:
    """Draw tiles with joints between them, or checks of two colours."""
    across, down = _turned(n, side, generator)
    pitch = _between(0.2, 1.2, n, generator)
    column, row = across / pitch + _uniform(n, generator), down / pitch + _uniform(n, generator)
    joint = torch.minimum(column % 1, row % 1) < _between(0.03, 0.1, n, generator)
    dark = ((column.floor() + row.floor()) % 2 > 0) & (_uniform(n, generator) < 0.3)
    stone = colours(n, generator) * (1 + noise(n, 1, side, generator, 1.2) * _between(0.0, 0.1, n, generator))
    shaded = stone * (1 - joint * _between(0.0, 0.5, n, generator))
    return torch.where(dark, colours(n, generator), shaded)


Draw = Callable[[int, int, Generator], Tensor]

GROUNDS: tuple[Draw, ...] = (plain, plain, folded, printed, wood, wood, carpet, tiles)


def colours(n: int, generator: Generator) -> Tensor:
    """Return colours [n, 3, 1, 1] as clothes and rooms have them: a third vivid, the others muted, white or black."""
    hue, kind = _uniform(n, generator), _uniform(n, generator)
    saturation = torch.where(kind < 0.35, _between(0.5, 1, n, generator), _between(0, 0.35, n, generator))
    value = torch.where(
        kind < 0.8, _between(0.1, 1, n, generator), (kind > 0.9) * 0.85 + _between(0.03, 0.15, n, generator)
    )
    saturation = torch.where(kind < 0.8, saturation, saturation * 0.3)
    channel = torch.tensor([0.0, 1 / 3, 2 / 3]).view(1, 3, 1, 1)
    full = ((((hue + channel) % 1) * 6 - 3).abs() - 1).clamp(0, 1)
    return value * (1 - saturation + saturation * full)


def prints(n: int, side: int, generator: Generator) -> Tensor:
    """Return cloth [n, 3, side, side] with a print of two or three colours: stripes, checks, dots, flowers."""
    across, down = _turned(n, side, generator)
    pitch = 2 * math.pi / (0.1 + 0.7 * _uniform(n, generator) ** 2)
    first, second = torch.sin(across * pitch + 6 * _uniform(n, generator)), torch.sin(down * pitch)
    spots = noise(n, 1, side, generator, steep=1.6, low=3)
    kind = _uniform(n, generator)
    few = max(1, n // 3)
    wave = torch.where(kind < 0.25, first, torch.where(kind < 0.45, torch.maximum(first, second), first * second))
    wave = torch.where(kind < 0.65, wave, spots)
    edge = (wave - _between(-0.5, 0.7, n, generator)) * _between(1, 6, n, generator) + 0.5
    ground, ink, third = (colours(n, generator) for _ in range(3))
    ink = torch.where((kind > 0.8) & (noise(n, 1, side, generator, 1.5) > 0), third, ink)
    printed_on = ground + (ink - ground) * edge.clamp(0, 1)
    return torch.cat([woven(few, side, generator), printed_on[few:]])


def woven(n: int, side: int, generator: Generator) -> Tensor:
    """Return cloth [n, 3, side, side] with bands of several colours, or two such crossing: plaid."""
    across, down = _turned(n, side, generator)
    bands = torch.stack([colours(n * WOVEN_BANDS, generator).view(n, WOVEN_BANDS, 3) for _ in range(2)], 1)
    repeats = _between(0.5, 3, n, generator)
    weft, warp = (
        line.gather(1, place.flatten(1)[..., None].expand(-1, -1, 3)).transpose(1, 2).unflatten(2, (side, side))
        for line, place in zip(
            bands.unbind(1),
            ((((1 + axis) * repeats) % 1 * WOVEN_BANDS).long().clamp(0, WOVEN_BANDS - 1) for axis in (across, down)),
            strict=True,
        )
    )
    return torch.where(_uniform(n, generator) < 0.6, weft, (weft + warp) / 2)


def folds(n: int, side: int, generator: Generator) -> Tensor:
    """Return the light and dark of folds [n, 1, side, side], mean 0: broad waves, and crests along one direction."""
    half = side // 2  # they are broad enough
    soft = _along(_turned(n, half, generator), n, half, generator, steep=1.8)
    crests = 1 - 2 * _along(_turned(n, half, generator), n, half, generator, steep=1.6).abs()
    both = soft + (crests - crests.mean((1, 2, 3), keepdim=True)) * _between(0.0, 0.7, n, generator)
    return functional.interpolate(both, (side, side), mode="bilinear")


def noise(n: int, channels: int, side: int, generator: Generator, steep: float = 1.5, low: int = 0) -> Tensor:
    """Return noise [n, channels, side, side] of mean 0 and deviation 1 whose frequencies f fall as 1/f^steep.

    low: the frequencies, in waves a side, below which there is none.
    """
    if steep >= SMOOTH and side >= WORK_SIDE:  # nothing is lost at half the side, which takes a quarter of the time
        coarse = noise(n, channels, side // 2, generator, steep, low)
        return functional.interpolate(coarse, (side, side), mode="bilinear")
    frequency = torch.hypot(torch.fft.fftfreq(side)[:, None], torch.fft.rfftfreq(side)[None]) * side
    weight = frequency.clamp_min(1) ** -steep * (frequency > low)
    waves = torch.fft.rfft2(torch.randn(n, channels, side, side, generator=generator))
    drawn = torch.fft.irfft2(waves * weight, s=(side, side))
    standard: Tensor = drawn / drawn.std((2, 3), keepdim=True).clamp_min(1e-6)
    return standard


def _cloth(look: Tensor, mask: Tensor, generator: Generator) -> Tensor:
    """Return cloth [n, 3, h, w] for placed garments: colour, print or motif, with the garment's seams and folds."""
    n, side = len(look), look.shape[-1]
    cloth = colours(n, generator).repeat(1, 1, side, side)
    quarter = max(1, n // 4)
    cloth[:quarter] = prints(quarter, side, generator)
    motif = _shifted(blobs(quarter, side, generator), generator)
    motif = motif * (noise(quarter, 1, side, generator, 1.0, low=2) > _between(-1, 0.8, quarter, generator))
    cloth[n - quarter :] = torch.where(motif > 0.5, prints(quarter, side, generator), cloth[n - quarter :])
    around, inside = _blurred(look, 9), _blurred(mask, 9).clamp_min(0.05)
    seams = look - around / inside  # brighter or darker than the garment about it
    light = 1 + seams * _between(0.2, 1.4, n, generator)
    light = light + folds(n, side, generator) * _between(0.03, 0.22, n, generator)
    light = light + noise(n, 1, side, generator, 0.4) * _between(0.0, 0.06, n, generator)
    return (cloth * light + 0.1 * (light - 1)).clamp(0, 1)


def _lay(cloth: Tensor, mask: Tensor, ground: Tensor, generator: Generator) -> Tensor:
    """Lay what a mask shows on a ground, which it casts a shadow on; often the ground is out of focus."""
    n = len(mask)
    soft = _blurred(ground, 3)
    ground = soft + (ground - soft) * _between(0.0, 1.2, n, generator).clamp_max(1)
    shadow = _shifted(_blurred(mask, 5), generator) * _between(0, 0.6, n, generator)
    return ground * (1 - shadow) * (1 - mask) + cloth * mask


def _place(garments: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """Return garments and their outlines, [n, 1, WORK_SIDE, WORK_SIDE] each: at any size and place, turned and bent."""
    n = len(garments)
    few = max(1, n // 8)
    garments = torch.cat([garments[: n - few], _paired(garments[n - few :])])
    covered = (garments > SILHOUETTE).float()
    # What lies between two covered pixels of a row and of a column is the garment too: dark cloth, not ground.
    rows = covered.cummax(3).values * covered.flip(3).cummax(3).values.flip(3)
    columns = covered.cummax(2).values * covered.flip(2).cummax(2).values.flip(2)
    filled = torch.where(_uniform(n, generator) < 0.7, rows * columns, covered)
    grid = _frame(n, generator, zoom=(0.8, 1.9), turn=20, aspect=0.25, quarter=0.12)
    bend = torch.stack([noise(n, 1, WORK_SIDE, generator, 2.2)[:, 0] for _ in range(2)], 3)
    grid = grid + bend * _between(0.0, 0.07, n, generator)
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
    scale = torch.exp(_between(math.log(zoom[0]), math.log(zoom[1]), n, generator)).flatten()
    stretch = _between(1 - aspect, 1 + aspect, n, generator).flatten().sqrt()
    angle = math.radians(turn) * _between(-1, 1, n, generator).flatten()
    quarters = (_uniform(n, generator).flatten() < quarter) * torch.randint(1, 4, (n,), generator=generator)
    angle = angle + math.pi / 2 * quarters
    flip = (_uniform(n, generator).flatten() < 0.5) * 2.0 - 1
    shift = 0.3 * _between(-1, 1, 2 * n, generator).view(n, 2) * (scale[:, None] - 0.5).abs()
    rows = torch.stack([flip * scale * stretch * angle.cos(), -flip * scale * stretch * angle.sin(), shift[:, 0]], 1)
    columns = torch.stack([scale / stretch * angle.sin(), scale / stretch * angle.cos(), shift[:, 1]], 1)
    return functional.affine_grid(torch.stack([rows, columns], 1), [n, 1, WORK_SIDE, WORK_SIDE], align_corners=False)


def _seen_through(images: Tensor, grid: Tensor, padding: str) -> Tensor:
    seen: Tensor = functional.grid_sample(images, grid, "bicubic", padding, align_corners=False)
    return seen


def _lit(photos: Tensor, generator: Generator) -> Tensor:
    """Return photos in other light: brighter to one side, tinted, of more or less contrast."""
    n, side = len(photos), photos.shape[-1]
    across, _ = _turned(n, side, generator)
    light = 1 + across * _between(0.0, 0.25, n, generator)
    tint = 1 + 0.12 * torch.randn(n, 3, 1, 1, generator=generator) * _uniform(n, generator)
    lit = (photos * light * tint).clamp(0, 1) ** torch.exp(_between(-0.4, 0.4, n, generator))
    return lit * _between(0.65, 1.05, n, generator) + _between(0.0, 0.15, n, generator)


def _along(turn: tuple[Tensor, Tensor], n: int, side: int, generator: Generator, steep: float = 1.0) -> Tensor:
    """Return noise [n, 1, side, side] stretched along one direction of turned axes."""
    across, down = turn
    places = torch.stack([down * _between(0.08, 0.4, n, generator), across * 0.7], -1)[:, 0]
    drawn = noise(n, 1, side, generator, steep)
    stretched: Tensor = functional.grid_sample(drawn, places, "bilinear", "reflection", align_corners=False)
    return stretched


def _turned(n: int, side: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Return coordinates from about -1 to 1 along two axes at right angles, [n, 1, side, side] each, turned anyhow."""
    line = torch.linspace(-1, 1, side)
    upright = (_uniform(n, generator) < 0.4) * (math.pi / 2) * torch.randint(0, 4, (n, 1, 1, 1), generator=generator)
    angle = torch.where(_uniform(n, generator) < 0.5, upright, 2 * math.pi * _uniform(n, generator))
    return line[None] * angle.cos() + line[:, None] * angle.sin(), line[:, None] * angle.cos() - line[
        None
    ] * angle.sin()


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


def _parts(n: int) -> list[tuple[Draw, Tensor]]:
    return [
        (kind, part)
        for kind, part in zip(GROUNDS, torch.arange(n).tensor_split(len(GROUNDS)), strict=True)
        if len(part)
    ]


def _uniform(n: int, generator: Generator) -> Tensor:
    """Return values [n, 1, 1, 1] between 0 and 1."""
    return torch.rand(n, 1, 1, 1, generator=generator)


def _between(low: float, high: float, n: int, generator: Generator) -> Tensor:
    """Return values [n, 1, 1, 1] between these."""
    return low + (high - low) * _uniform(n, generator)
