"""Folders of own images for tests, with labels that a network learns in seconds."""

import io
from itertools import product
from pathlib import Path

from lookalikes import learnable
from PIL import Image

LABELS = ("daisy", "rose", "tulip", "violet")
PNG, JPEG, WEBP = "png", "jpg", "webp"


def flower(label: int, number: int, side: int = 28, channels: int = 1) -> Image.Image:
    """Return an image that shows its label; each number gives another image."""
    return Image.fromarray(learnable(label + 1, side, side, channels, seed=number)[0][label].squeeze())


def fill(
    folder: Path, each: int = 12, sides: tuple[int, ...] = (28,), kinds: tuple[str, ...] = (PNG,), channels: int = 1
) -> Path:
    """Write so many images of each label, with these sides and formats in turn; returns the folder."""
    for label, number in product(range(len(LABELS)), range(each)):
        target = folder / LABELS[label] / f"{number}.{kinds[number % len(kinds)]}"
        target.parent.mkdir(parents=True, exist_ok=True)
        flower(label, number, sides[number % len(sides)], channels).save(target)
    return folder


def encoded(image: Image.Image, kind: str) -> bytes:
    content = io.BytesIO()
    image.save(content, kind)
    return content.getvalue()
