"""Golden images, of the exporter's own making: a served model must repeat the trained network's outputs for them."""

import numpy as np
from numpy.typing import NDArray

SEED = 0


def golden_images(height: int, width: int, channels: int) -> NDArray[np.uint8]:
    """Return uint8 [4, height, width, channels]: a gradient, a disc, a shirt-like shape and noise."""
    down, across = np.mgrid[0:height, 0:width] / [[[height - 1]], [[width - 1]]]
    tint = np.linspace(1.0, 0.4, channels)
    gradient = 0.5 * (down + across)
    noise = np.random.default_rng(SEED).random((height, width, channels))
    disc = np.hypot(down - 0.5, across - 0.5) < 0.35
    body = (abs(across - 0.5) < 0.22) & (abs(down - 0.5) < 0.42)
    sleeves = (abs(across - 0.5) < 0.45) & (abs(down - 0.22) < 0.1)
    shapes = [shape[..., None] * tint for shape in (gradient, disc, body | sleeves)]
    images: NDArray[np.uint8] = np.rint(255 * np.stack([*shapes, noise])).astype(np.uint8)
    return images
