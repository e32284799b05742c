"""Filters over batches of images: blurs, resampling and random textures, of which corruptions are made."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def correlate(images: Floats, kernel: Floats) -> Floats:
    """Filter images [n, h, w, c] with an odd kernel [k, k]; beyond its edges an image is mirrored."""
    margin, (height, width) = len(kernel) // 2, images.shape[1:3]
    padded = np.pad(images, ((0, 0), (margin, margin), (margin, margin), (0, 0)), mode="reflect")
    filtered = np.zeros_like(images)
    for (row, column), weight in np.ndenumerate(kernel):
        filtered += weight * padded[:, row : row + height, column : column + width]
    return filtered


def motion_blur(images: Floats, radius: int, sigma: float, angles: NDArray[np.float64]) -> Floats:
    """Blur images [n, h, w, c] to one side along a line, at an angle [n] in degrees for each, as a moving camera does.

    radius: half the length of the line, in pixels. sigma: of the half of a Gaussian along it.
    """
    height, width = images.shape[1:3]
    steps = np.arange(2 * radius + 1)
    weights: Floats = np.exp(-(steps**2) / (2 * sigma**2)).astype(np.float32)
    across, down = np.cos(np.deg2rad(angles)), np.sin(np.deg2rad(angles))
    blurred = np.zeros_like(images)
    for step, weight in zip(steps, weights / weights.sum(), strict=True):
        rows = np.clip(np.arange(height) + np.rint(step * down)[:, None].astype(int), 0, height - 1)
        columns = np.clip(np.arange(width) + np.rint(step * across)[:, None].astype(int), 0, width - 1)
        blurred += (
            np.float32(weight) * images[np.arange(len(images))[:, None, None], rows[:, :, None], columns[:, None, :]]
        )
    return blurred


def sample(images: Floats, rows: Floats, columns: Floats) -> Floats:
    """Read images [n, h, w, c] at fractions of pixels [n, h, w], bilinearly; beyond its edges an image is mirrored."""
    height, width = images.shape[1:3]
    top, left = np.floor(rows), np.floor(columns)
    down, right = (rows - top)[..., None], (columns - left)[..., None]
    above, below = (_mirrored(top + step, height) for step in (0, 1))
    before, after = (_mirrored(left + step, width) for step in (0, 1))
    image = np.arange(len(images))[:, None, None]
    upper = _mix(images[image, above, before], images[image, above, after], right)
    lower = _mix(images[image, below, before], images[image, below, after], right)
    return _mix(upper, lower, down)


def zoom(images: Floats, factor: float) -> Floats:
    """Enlarge images [n, h, w, c] about their centre, and cut off what leaves the frame."""
    centres = [(side - 1) / 2 for side in images.shape[1:3]]
    places = [(np.arange(2 * centre + 1) - centre) / factor + centre for centre in centres]
    return _separable(images, *(_interpolation(line, len(line)) for line in places))


def fractal(shape: tuple[int, int, int], decay: float, random: np.random.Generator) -> Floats:
    """Return clouds [n, h, w] between 0 and 1: a sum of noises, each twice as fine and decay squared times as weak."""
    n, height, width = shape
    clouds = np.zeros((n, height, width, 1), np.float32)
    cells, strength = 2, 1.0
    while cells < 2 * max(height, width):
        noise = random.uniform(-strength, strength, (n, cells, cells, 1)).astype(np.float32)
        noise = np.pad(noise, ((0, 0), (0, 1), (0, 1), (0, 0)), mode="wrap")
        clouds += _separable(
            noise, *(_interpolation(np.arange(side) * cells / side, cells + 1) for side in (height, width))
        )
        cells, strength = 2 * cells, strength / decay**2
    clouds -= clouds.min((1, 2), keepdims=True)
    scaled: Floats = clouds / clouds.max((1, 2), keepdims=True)
    return scaled[..., 0]


def _mix(first: Floats, second: Floats, share: Floats) -> Floats:
    mixed: Floats = first + share * (second - first)
    return mixed


def _mirrored(places: Floats, side: int) -> NDArray[np.int64]:
    folded = np.abs(places.astype(np.int64)) % (2 * side - 2)
    return np.where(folded < side, folded, 2 * side - 2 - folded)


def _interpolation(places: NDArray[np.float64], side: int) -> Floats:
    """Return the matrix [len(places), side] that reads a line of pixels at these places, linearly."""
    matrix: Floats = np.maximum(0, 1 - np.abs(places[:, None] - np.arange(side))).astype(np.float32)
    return matrix


def _separable(images: Floats, vertical: Floats, horizontal: Floats) -> Floats:
    """Multiply the columns and the rows of images [n, h, w, c] by matrices."""
    product: Floats = np.einsum("ij,njwc,kw->nikc", vertical, images, horizontal, optimize=True)
    return product
