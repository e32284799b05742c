"""The images that servers are asked about: a PNG of the input's size, and a phone photo."""

import io

import numpy as np
from PIL import Image

from serving.imaging.png import to_png

PHOTO_SIZE = 4000, 3000
PHOTO_QUALITY = 85


def sample_png(shape: tuple[int, int, int]) -> bytes:
    """Return a smooth random image of this height, width and channels."""
    height, width, channels = shape
    small = np.random.default_rng(0).integers(0, 256, (8, 8, channels), np.uint8).squeeze()
    image = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    return to_png(np.asarray(image).reshape(shape))


def phone_photo() -> bytes:
    """Return a JPEG of 12 megapixels and about 3 MB: gradients, texture, and noise as of a sensor."""
    random, (width, height) = np.random.default_rng(0), PHOTO_SIZE
    down, across = np.mgrid[:height, :width].astype(np.float32)
    waves = (np.sin(across / 700 + down / 900), np.cos(across / 500 - down / 800), np.sin((across + down) / 1100))
    grain = Image.fromarray(random.integers(0, 256, (height // 8, width // 8, 3), np.uint8))
    texture = np.asarray(grain.resize(PHOTO_SIZE, Image.Resampling.BICUBIC), np.float32) - 128
    noise = random.standard_normal((height, width, 1), np.float32)
    pixels = 128 + 80 * np.stack(waves, -1) + 0.15 * texture + 6 * noise
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=PHOTO_QUALITY)
    return file.getvalue()
