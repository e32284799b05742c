"""Photos of our own making, read by the service's own code: what is learned and measured is what is served."""

import numpy as np
from numpy.typing import NDArray

from serving.imaging.decoding import PixelBudget, decode, read_header
from serving.imaging.preprocessing import preprocess
from serving.imaging.scaling import side_needed

MAX_PHOTO_PIXELS = 10_000_000  # none of these photos has more


def as_served(photo: bytes, fit: str, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return the input [height, width, channels] that the service makes of a photo's file."""
    height, width, channels = shape
    decoded = decode(read_header(photo, PixelBudget(MAX_PHOTO_PIXELS)), side_needed(height, width))
    return preprocess(decoded, fit, height, width, channels).pixels
