"""Tell a garment from the ground that it lies or hangs on: a few milliseconds of numpy and Pillow.

The ground is a smooth surface of colour, fitted to the image's border: light that falls off is part of it. Far from it
lies the garment. That first guess is refined by colour: which colours are more frequent in the garment than around it.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

SIDE = 128  # pixels of the longest side, on which the garment is looked for
MIN_SIDE = 8  # pixels of the shortest: with fewer there is no border to learn from
BORDER = 0.03  # of a side: where the ground is learned
FIT_ROUNDS = 3  # of the surface: each gives less weight to pixels far from it, such as a sleeve at the border
COLOUR_STEP = 12  # half levels of a channel that count as one colour, to compare garment and ground
LEVELS_PER_CHANNEL = 256 // COLOUR_STEP + 1
PSEUDO_PIXELS = 24  # of evidence that every colour begins with, in the garment and in the ground
COLOUR_ROUNDS = 2  # of refinement; more let one of the two swallow the other
BORDER_WEIGHT = 6.0  # of a border pixel as evidence of the ground
CENTRE = 0.64  # standard deviation of the prior that a garment is in the centre, in half sides
MAX_LOG_ODDS = 4.0
MIN_COMPONENT = 0.15  # of the largest one's area: a smaller one is not part of the garment
SMALL_HOLE = 0.004  # of the image's area: a larger one of the ground's colour is a hole, such as between trouser legs
GROUND_LOG_ODDS = -1.0  # of a hole's colours: below this they are the ground's
MIN_AREA, MAX_AREA = 0.01, 0.92  # of the image's, within which a mask is believed
MAX_BORDER = 0.6  # of the border's pixels that a garment may cover
MIN_CONTRAST = 1.25  # times as far from the ground as the ground's own pixels are, on average

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]


class _Frame(NamedTuple):
    """Constants of an image size: polynomial terms [h, w, 3], border [h, w], and the prior's log odds [h, w]."""

    terms: Floats
    border: Mask
    prior: Floats


def find_garment(image: Image.Image) -> Image.Image | None:
    """Return a mask (mode L, 255 on the garment) of an image of mode L or RGB, reduced to SIDE; None if unsure."""
    scale = min(1.0, SIDE / max(image.size))
    width, height = (max(1, round(side * scale)) for side in image.size)
    if min(width, height) < MIN_SIDE:
        return None
    small = image.resize((width, height), Image.Resampling.BOX, reducing_gap=2.0).convert("RGB")
    frame = _frame(height, width)
    difference = _difference_from_ground(np.asarray(small, np.float32), frame)
    distance = np.abs(difference).max(2)
    log_odds, colours = _compare_colours(difference, _first_guess(distance), frame)
    mask = _fill_holes(_largest_components(log_odds > 0), colours)
    if not (MIN_AREA < mask.mean() < MAX_AREA and mask[frame.border].mean() < MAX_BORDER):
        return None
    if distance[mask].mean() < MIN_CONTRAST * (distance[~mask].mean() + 1):
        return None
    return Image.fromarray(np.where(mask, np.uint8(255), np.uint8(0)))


@lru_cache(maxsize=64)  # photos have few shapes
def _frame(height: int, width: int) -> _Frame:
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    border = np.ones((height, width), bool)
    edge = max(2, round(BORDER * min(height, width)))
    border[edge:-edge, edge:-edge] = False
    central = np.exp(-(x * x + y * y) / (2 * CENTRE**2))
    prior = np.log(central + 0.05) - np.log(1.05 - central)
    return _Frame(np.stack([np.ones_like(x), x, y], -1).astype(np.float32), border, prior.astype(np.float32))


def _difference_from_ground(pixels: Floats, frame: _Frame) -> Floats:
    """Subtract from pixels [h, w, 3] a plane of each channel, fitted robustly to the border (Cauchy weights)."""
    terms, values = frame.terms[frame.border].astype(np.float64), pixels[frame.border].astype(np.float64)
    weights = np.ones(len(terms))
    for _ in range(FIT_ROUNDS):
        weighted = terms * weights[:, None]
        plane = np.linalg.solve(weighted.T @ weighted, weighted.T @ (values * weights[:, None]))
        distance = np.abs(values - terms @ plane).max(1)
        weights = 1 / (1 + (distance / (2 * np.median(distance) + 2)) ** 2)
    difference: Floats = pixels - frame.terms @ plane.astype(np.float32)
    return difference


def _first_guess(distance: Floats) -> Floats:
    """Return 1 where the distance from the ground is above Otsu's threshold, otherwise 0: [h, w]."""
    levels = np.asarray(Image.fromarray(distance.clip(0, 255).astype(np.uint8)).filter(ImageFilter.BoxBlur(2)))
    return (levels > _otsu(levels)).astype(np.float32)


def _otsu(levels: NDArray[np.uint8]) -> int:
    """Return the threshold that maximizes the variance between the two classes (Otsu 1979)."""
    share = np.bincount(levels.ravel(), minlength=256) / levels.size
    below, mean = share.cumsum(), (share * np.arange(256)).cumsum()
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (mean[-1] * below - mean) ** 2 / (below * (1 - below))
    return int(np.nan_to_num(between, nan=0, posinf=0).argmax())


def _compare_colours(difference: Floats, guess: Floats, frame: _Frame) -> tuple[Floats, Floats]:
    """Refine a guess [h, w] by the colours' frequencies in garment and ground.

    Returns the log odds of garment, smoothed and with the prior, and those of the colours alone: [h, w] each.
    """
    colour, count = _quantize(difference)
    evidence = np.where(frame.border, BORDER_WEIGHT, 1.0).ravel()
    for _ in range(COLOUR_ROUNDS):
        garment = np.bincount(colour, guess.ravel(), count) + PSEUDO_PIXELS / count
        ground = np.bincount(colour, (1 - guess.ravel()) * evidence, count) + PSEUDO_PIXELS / count
        of_colour = np.log(garment / garment.sum()) - np.log(ground / ground.sum())
        of_colours = of_colour[colour].reshape(guess.shape).astype(np.float32)
        log_odds = _smooth((of_colours + frame.prior).clip(-MAX_LOG_ODDS, MAX_LOG_ODDS))
        guess = (1 / (1 + np.exp(-log_odds))).astype(np.float32)
    return log_odds, of_colours


def _quantize(difference: Floats) -> tuple[NDArray[np.intp], int]:
    """Return the number of each pixel's colour [h * w], and how many colours there are."""
    image = Image.fromarray((difference / 2 + 128).clip(0, 255).astype(np.uint8)).filter(ImageFilter.BoxBlur(1))
    red, green, blue = np.moveaxis((np.asarray(image).astype(np.intp) + COLOUR_STEP // 2) // COLOUR_STEP, 2, 0)
    return _numbered(((red * LEVELS_PER_CHANNEL + green) * LEVELS_PER_CHANNEL + blue).ravel())


def _numbered(values: NDArray[np.intp]) -> tuple[NDArray[np.intp], int]:
    """Return for each value [n], none negative, its place among those that occur, and how many these are.

    As numpy's unique does, which sorts: for small values that takes ten times as long.
    """
    occurs = np.bincount(values) > 0
    return (occurs.cumsum() - 1)[values], int(occurs.sum())


def _smooth(log_odds: Floats) -> Floats:
    """Return means over 5 x 5 pixels; Pillow's filter works on levels."""
    scale = 127.5 / MAX_LOG_ODDS
    levels = Image.fromarray(np.rint((log_odds + MAX_LOG_ODDS) * scale).astype(np.uint8))
    smoothed: Floats = np.asarray(levels.filter(ImageFilter.BoxBlur(2)), np.float32) / scale - MAX_LOG_ODDS
    return smoothed


def _largest_components(mask: Mask) -> Mask:
    """Keep the largest component and those of a share of its area."""
    labels, sizes = _components(mask)
    sizes[0] = 0
    kept = sizes >= MIN_COMPONENT * sizes.max()
    kept[0] = False
    result: Mask = kept[labels]
    return result


def _fill_holes(mask: Mask, colours: Floats) -> Mask:
    """Fill holes that are small, or whose colours are not the ground's."""
    labels, sizes = _components(~mask)
    edges = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    means = np.bincount(labels.ravel(), colours.ravel(), len(sizes)) / np.maximum(sizes, 1)
    filled = (sizes < SMALL_HOLE * mask.size) | (means > GROUND_LOG_ODDS)
    filled[edges] = filled[0] = False
    result: Mask = mask | filled[labels]
    return result


def _components(mask: Mask) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Label 4-connected components by union-find over runs; return labels [h, w], 0 off the mask, and their sizes."""
    height, width = mask.shape
    steps = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(steps == 1)
    ends = np.nonzero(steps == -1)[1]
    roots = np.array(_join_runs(rows, starts.tolist(), ends.tolist(), height), np.intp)
    numbers, count = _numbered(roots)
    changes = np.zeros((height, width + 1), np.intp)
    changes[rows, starts] += numbers + 1
    changes[rows, ends] -= numbers + 1
    labels = changes.cumsum(1)[:, :width]
    return labels, np.bincount(labels.ravel(), minlength=count + 1)


def _join_runs(rows: NDArray[np.intp], starts: list[int], ends: list[int], height: int) -> list[int]:
    """Return the root of each run: runs of neighbouring rows that overlap have the same."""
    parents = list(range(len(starts)))

    def root(run: int) -> int:
        while parents[run] != run:
            parents[run] = run = parents[parents[run]]
        return run

    first = np.searchsorted(rows, np.arange(height + 1)).tolist()
    for above, here, below in zip(first, first[1:], first[2:], strict=False):
        upper, lower = above, here
        while upper < here and lower < below:
            if starts[upper] < ends[lower] and starts[lower] < ends[upper]:
                parents[root(lower)] = root(upper)
            if ends[upper] < ends[lower]:
                upper += 1
            else:
                lower += 1
    return [root(run) for run in range(len(starts))]
