"""Pixels as PNG and back: exact, and readable by anything."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

LARGEST = 4096 * 4096  # pixels


def to_png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode pixels [height, width, 1 or 3]."""
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels).save(file, "PNG")
    return file.getvalue()


def data_url(png: bytes) -> str:
    """Return a PNG as a data: URL."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def from_png(content: bytes) -> NDArray[np.uint8]:
    """Decode to pixels [height, width, channels]; raises OSError, SyntaxError or ValueError when it is no PNG."""
    image = Image.open(io.BytesIO(content), formats=["PNG"])
    if image.width * image.height > LARGEST:
        raise ValueError(f"{image.width} x {image.height} pixels are more than any input has")
    pixels = np.array(image, np.uint8)
    return pixels[..., None] if pixels.ndim == 2 else pixels
