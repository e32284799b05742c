"""Explain a label by occlusion: cover the image window by window, and note how its probability falls.

Occlusion sensitivity (Zeiler and Fergus 2014, section 4.2); it needs nothing of a model but its outputs.
"""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from serving.errors import not_a_number
from serving.imaging.resizing import Box
from serving.model.classifier import Classifier

# Of a side, smallest first: a third hides a sleeve or a head; where that changes little, larger windows are tried.
WINDOW_SHARES = (1 / 3, 1 / 2, 2 / 3)
STRIDES = 3  # to a window's side: away from the edges, nine windows cover each pixel
MIN_SCALE = 0.1  # of probability: a smaller largest fall is painted fainter
MAX_ALPHA = 190  # of 255: the opacity of the strongest heat


@dataclass(frozen=True)
class Explanation:
    """The fall of a label's probability when a window of the input is covered.

    index, probability: of the label. window: height and width. grid: [rows, columns], by the place of the window;
    negative where covering it helps. heat: [height, width] of the input, the mean over all windows that cover a pixel.
    """

    index: int
    probability: float
    window: tuple[int, int]
    grid: NDArray[np.float32]
    heat: NDArray[np.float32]


def explain(classifier: Classifier, pixels: NDArray[np.uint8], index: int | None = None) -> Explanation:
    """Cover each window of an input [height, width, channels] with the colour of its border; one batch for all.

    Larger windows follow until one lowers the probability by MIN_SCALE; if none does, the largest fall is returned.
    index: of the label to explain; None is the most probable. Raises InternalError and RUNTIME_ERRORS.
    """
    tried = []
    for share in WINDOW_SHARES:
        tried.append(_explain(classifier, pixels, index, share))
        if tried[-1].grid.max() >= MIN_SCALE:
            return tried[-1]
    return max(tried, key=lambda explanation: float(explanation.grid.max()))


def _explain(classifier: Classifier, pixels: NDArray[np.uint8], index: int | None, share: float) -> Explanation:
    """Explain with windows of this share of a side."""
    height, width, _ = pixels.shape
    tall, wide = max(1, int(height * share)), max(1, int(width * share))
    tops, lefts = _places(height, tall), _places(width, wide)
    windows = [(slice(top, top + tall), slice(left, left + wide)) for top in tops for left in lefts]
    probabilities = classifier.classify(np.concatenate([pixels[None], _cover(pixels, windows)]))
    if not np.isfinite(probabilities).all():
        raise not_a_number(classifier.card.name)
    index = int(probabilities[0].argmax()) if index is None else index
    probability, falls = float(probabilities[0, index]), probabilities[0, index] - probabilities[1:, index]
    heat, counts = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
    for window, fall in zip(windows, falls, strict=True):
        heat[window] += fall
        counts[window] += 1
    return Explanation(index, probability, (tall, wide), falls.reshape(len(tops), len(lefts)), heat / counts)


def overlay(heat: NDArray[np.float32], view: Box, size: tuple[int, int]) -> bytes:
    """Paint heat [height, width] as a PNG of this width and height, transparent where no pixel mattered.

    size: of the upload as it was decoded. view: the part of it that the heat covers, in its pixels.
    """
    strength = np.clip(heat / max(float(heat.max()), MIN_SCALE), 0, 1)
    left, top, right, bottom = view
    across, down = heat.shape[1] / (right - left), heat.shape[0] / (bottom - top)
    placed = Image.fromarray(np.rint(255 * strength).astype(np.uint8)).transform(
        size,
        Image.Transform.AFFINE,
        (across, 0, -left * across, 0, down, -top * down),
        Image.Resampling.BILINEAR,
    )
    placed.putpalette([value for level in range(256) for value in (255, 255 - level, 0)])  # from yellow to red
    file = io.BytesIO()
    alpha = bytes(level * MAX_ALPHA // 255 for level in range(256))
    placed.save(file, "PNG", transparency=alpha, compress_level=1)  # the default takes seconds for a large photo
    return file.getvalue()


def _places(side: int, window: int) -> list[int]:
    """Return the first pixels of the windows, evenly spaced from one end to the other."""
    steps = -(-STRIDES * (side - window) // window)
    return sorted({round(place) for place in np.linspace(0, side - window, steps + 1)})


def _cover(pixels: NDArray[np.uint8], windows: list[tuple[slice, slice]]) -> NDArray[np.uint8]:
    """Return images [windows, height, width, channels], each with one window covered."""
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    images = np.repeat(pixels[None], len(windows), axis=0)
    for image, window in zip(images, windows, strict=True):
        image[window] = np.median(border, axis=0)
    return images
