"""The fifteen corruptions of CIFAR-10-C, each in five severities (Hendrycks and Dietterich 2019, section 3).

The severities are those of CIFAR-10-C, whose images have 32 pixels a side. For want of photos of frost, frost is drawn.
"""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from training.datasets.composed import LUMA
from training.datasets.pixels import Pixels
from training.evaluation.filters import Floats, correlate, fractal, motion_blur, sample, zoom

GREY = np.array(LUMA, np.float32)  # the parts of red, green and blue in a colour's lightness
ICE = np.array([0.86, 0.94, 1.0], np.float32)

# From images [n, h, w, c] between 0 and 1, a severity's value and a source of randomness to images.
Corruption = Callable[[Floats, Any, np.random.Generator], Floats]


def corrupt(pixels: Pixels, name: str, severity: int, random: np.random.Generator) -> Pixels:
    """Return images [n, h, w, c], in grey or in colour, after a corruption; severity: 1 to 5."""
    corruption, values = CORRUPTIONS[name]
    return _to_pixels(corruption(_to_floats(pixels), values[severity - 1], random).clip(0, 1))


def gaussian_noise(images: Floats, deviation: float, random: np.random.Generator) -> Floats:
    """Add normal noise, as little light does."""
    return images + deviation * random.standard_normal(images.shape, np.float32)


def shot_noise(images: Floats, photons: float, random: np.random.Generator) -> Floats:
    """Count photons, so many for white."""
    return (random.poisson(images * photons) / photons).astype(np.float32)


def impulse_noise(images: Floats, share: float, random: np.random.Generator) -> Floats:
    """Make this share of values black or white, as bit errors do."""
    draw = random.random(images.shape, np.float32)
    return np.where(draw < share, (draw < share / 2).astype(np.float32), images)


def defocus_blur(images: Floats, value: tuple[float, float], random: np.random.Generator) -> Floats:
    """Spread each pixel over a disk; value: its radius, and the sigma of the Gaussian that softens its edge."""
    radius, sigma = value
    offsets = np.arange(-2, 3)
    squares = (offsets**2 + offsets[:, None] ** 2).astype(np.float32)
    disk = (squares <= radius**2).astype(np.float32)
    edge = np.exp(-squares[1:4, 1:4] / (2 * sigma**2))
    kernel = correlate(disk[None, :, :, None], edge)[0, :, :, 0]
    return correlate(images, kernel / kernel.sum())


def glass_blur(images: Floats, value: tuple[float, int], random: np.random.Generator) -> Floats:
    """Take each pixel from a neighbour, between two blurs; value: the sigma of a blur, and how often to do so.

    The pixel itself, that above, that to the left or that between these: so CIFAR-10-C was made.
    """
    sigma, rounds = value
    blurred = _gaussian(images, sigma)
    image, rows, columns = np.ogrid[: len(images), : images.shape[1], : images.shape[2]]
    for _ in range(rounds):
        up, left = random.integers(0, 2, (2, *images.shape[:3]))
        blurred = blurred[image, np.maximum(rows - up, 0), np.maximum(columns - left, 0)]
    return _gaussian(blurred, sigma)


def camera_motion(images: Floats, value: tuple[int, float], random: np.random.Generator) -> Floats:
    """Blur along a line that is nearer to level than to upright; value: radius and sigma of the blur."""
    return motion_blur(images, *value, random.uniform(-45, 45, len(images)))


def zoom_blur(images: Floats, largest: float, random: np.random.Generator) -> Floats:
    """Take the mean of enlargements up to the largest, as a camera does that moves towards its object."""
    factors = np.arange(1, largest + 0.005, 0.01)
    blurred: Floats = np.mean([images, *(zoom(images, factor) for factor in factors)], axis=0)
    return blurred


def snow(images: Floats, value: tuple[float, ...], random: np.random.Generator) -> Floats:
    """Let flakes fall, and whiten the image.

    value: mean and deviation of the noise that flakes are cut from, their size, the level of the cut, radius and sigma
    of their fall, and the share of the image that stays as it was.
    """
    mean, deviation, size, level, radius, sigma, kept = value
    flakes = zoom(mean + deviation * random.standard_normal((*images.shape[:3], 1), np.float32), size)
    flakes = np.where(flakes < level, 0, flakes).clip(0, 1).astype(np.float32)
    flakes = motion_blur(flakes, int(radius), sigma, random.uniform(-135, -45, len(images)))
    white = np.maximum(images, 1.5 * _lightness(images) + 0.5)
    snowy: Floats = kept * images + (1 - kept) * white + flakes + flakes[:, ::-1, ::-1]
    return snowy


def frost(images: Floats, value: tuple[float, float], random: np.random.Generator) -> Floats:
    """Look through ice: drawn needles on clouds; value: the parts of image and ice."""
    clouds = fractal(images.shape[:3], 1.5, random)[..., None]
    seeds = (random.random((*images.shape[:3], 1), np.float32) < 0.08).astype(np.float32)
    needles = [motion_blur(seeds, 5, 3.0, random.uniform(0, 360, len(images))) for _ in range(3)]
    ice = (0.2 + 0.5 * clouds + 1.5 * np.maximum.reduce(needles)).clip(0, 1)
    frosted: Floats = value[0] * images + value[1] * (ice * ICE if images.shape[3] == 3 else ice)
    return frosted


def fog(images: Floats, value: tuple[float, float], random: np.random.Generator) -> Floats:
    """Lay clouds over the image; value: how dense they are, and how fast their details fade."""
    density, decay = value
    brightest = images.max((1, 2, 3), keepdims=True)
    clouds = fractal(images.shape[:3], decay, random)[..., None]
    foggy: Floats = (images + density * clouds) * brightest / (brightest + density)
    return foggy


def brightness(images: Floats, added: float, random: np.random.Generator) -> Floats:
    """Add to the value of each colour (of hue, saturation and value)."""
    value = images.max(3, keepdims=True)
    brighter = np.minimum(value + np.float32(added), 1)
    changed: Floats = np.where(value > 0, images * (brighter / np.maximum(value, 1e-6)), brighter)
    return changed


def contrast(images: Floats, kept: float, random: np.random.Generator) -> Floats:
    """Bring all pixels nearer to the image's mean."""
    mean = images.mean((1, 2), keepdims=True)
    flat: Floats = mean + np.float32(kept) * (images - mean)
    return flat


def elastic_transform(images: Floats, value: tuple[float, float, float], random: np.random.Generator) -> Floats:
    """Tilt and stretch the image, then displace each pixel.

    value, as shares of a side: how far pixels move, the sigma that smooths it, and how far the corners move.
    """
    n, height, width = images.shape[:3]
    moved, sigma, tilt = (share * min(height, width) for share in value)
    rows, columns = (places.astype(np.float32) for places in np.mgrid[:height, :width])
    centre, arm = np.array([height // 2, width // 2]), min(height, width) // 3
    corners = centre + arm * np.array([[1, 1], [1, -1], [-1, -1]])
    targets = corners + random.uniform(-tilt, tilt, (n, 3, 2))
    affine = np.linalg.solve(np.concatenate([targets, np.ones((n, 3, 1))], 2), np.broadcast_to(corners, (n, 3, 2)))
    sources = np.einsum("hwk,nkd->dnhw", np.stack([rows, columns, np.ones_like(rows)], 2), affine)
    tilted = sample(images, *sources.astype(np.float32))
    noise = random.uniform(-1, 1, (2, n, height, width)).astype(np.float32)
    shifts = moved * gaussian_filter(noise, (0, 0, sigma, sigma), truncate=3)
    return sample(tilted, rows + shifts[0], columns + shifts[1])


def pixelate(images: Floats, scale: float, random: np.random.Generator) -> Floats:
    """Shrink to this scale, and enlarge again."""

    def pixelated(image: Image.Image) -> Image.Image:
        small = int(image.width * scale), int(image.height * scale)
        return image.resize(small, Image.Resampling.BOX).resize(image.size, Image.Resampling.BOX)

    return _with_pillow(images, pixelated)


def jpeg_compression(images: Floats, quality: int, random: np.random.Generator) -> Floats:
    """Save as JPEG in this quality."""

    def compressed(image: Image.Image) -> Image.Image:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        return Image.open(file)

    return _with_pillow(images, compressed)


def _gaussian(images: Floats, sigma: float) -> Floats:
    blurred: Floats = gaussian_filter(images, (0, sigma, sigma, 0), mode="nearest")
    return blurred


def _lightness(images: Floats) -> Floats:
    lightness: Floats = images @ GREY[:, None] if images.shape[3] == 3 else images
    return lightness


def _with_pillow(images: Floats, change: Callable[[Image.Image], Image.Image]) -> Floats:
    changed = [np.asarray(change(Image.fromarray(image.squeeze()))) for image in _to_pixels(images)]
    return _to_floats(np.stack(changed).reshape(images.shape))


def _to_pixels(images: Floats) -> Pixels:
    pixels: Pixels = np.rint(255 * images).astype(np.uint8)
    return pixels


def _to_floats(pixels: Pixels) -> Floats:
    return (pixels / np.float32(255)).astype(np.float32)


CORRUPTIONS: dict[str, tuple[Corruption, tuple[Any, ...]]] = {
    "gaussian noise": (gaussian_noise, (0.04, 0.06, 0.08, 0.09, 0.10)),
    "shot noise": (shot_noise, (500, 250, 100, 75, 50)),
    "impulse noise": (impulse_noise, (0.01, 0.02, 0.03, 0.05, 0.07)),
    "defocus blur": (defocus_blur, ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1))),
    "glass blur": (glass_blur, ((0.05, 1), (0.25, 1), (0.4, 1), (0.25, 2), (0.4, 2))),
    "motion blur": (camera_motion, ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5))),
    "zoom blur": (zoom_blur, (1.05, 1.10, 1.15, 1.20, 1.25)),
    "snow": (
        snow,
        (
            (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
            (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
        ),
    ),
    "frost": (frost, ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45))),
    "fog": (fog, ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75))),
    "brightness": (brightness, (0.05, 0.1, 0.15, 0.2, 0.3)),
    "contrast": (contrast, (0.75, 0.5, 0.4, 0.3, 0.15)),
    "elastic transform": (
        elastic_transform,
        ((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)),
    ),
    "pixelate": (pixelate, (0.95, 0.9, 0.85, 0.75, 0.65)),
    "JPEG compression": (jpeg_compression, (80, 65, 58, 50, 40)),
}
SEVERITIES = range(1, 6)
