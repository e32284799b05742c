"""Preprocess a decoded image: make it the input that a model takes."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serving.imaging.decoding import DecodedImage
from serving.imaging.png import data_url, to_png
from serving.imaging.resizing import RESIZERS, Box


class ModelInput(NamedTuple):
    """The input of a network: pixels uint8 [height, width, channels].

    steps: the names of all that was done to the upload, in order. size: width and height of the upright upload as it
    was decoded, which for a large photo is smaller in the same proportions. view: left, top, right and bottom of the
    part that the input shows, in pixels of that size; beyond its edges where black was added.
    """

    pixels: NDArray[np.uint8]
    steps: tuple[str, ...]
    size: tuple[int, int]
    view: Box

    def data_url(self) -> str:
        """Return the pixels as a PNG in a data: URL."""
        return data_url(to_png(self.pixels))


def _is_input(decoded: DecodedImage, height: int, width: int, channels: int) -> bool:
    """Whether an upload has the size and mode of a model's input, so that it goes through untouched.

    One that was laid on white has a ground that is not its own: what is on it has yet to be told from it.
    """
    image = decoded.image
    return image.size == (width, height) and image.mode == _mode(channels) and "flattened" not in decoded.steps


def preprocess(decoded: DecodedImage, fit: str, height: int, width: int, channels: int) -> ModelInput:
    """Convert and resize an image to a model's input.

    fit: "garment" or "photo", as the model's card says. An image of the input's size and mode stays as it is.
    """
    mode = _mode(channels)
    image, steps = decoded.image, decoded.steps
    view: Box = (0, 0, *image.size)
    if not _is_input(decoded, height, width, channels):
        if image.mode != "L" and mode == "L" and fit != "garment":  # a garment is told from its ground by colour
            image, steps = image.convert("L"), (*steps, "grey")
        resized = RESIZERS[fit](image, width, height)
        image, steps, view = resized.image, (*steps, *resized.steps), resized.view
        if image.mode != mode:
            image, steps = image.convert(mode), (*steps, "rgb")
    pixels = np.frombuffer(image.tobytes(), np.uint8).reshape(height, width, channels)
    return ModelInput(pixels, steps, decoded.image.size, view)


def _mode(channels: int) -> str:
    return "L" if channels == 1 else "RGB"
