"""Thumbnails of images as the model sees them: one in a data URL, or a sheet with a row for each label."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from serving.imaging.png import data_url
from training.datasets.labelled import LabelledImages, truth_of
from training.label_font import FONT_FILE, drawable

SIDE, GAP = 64, 4  # pixels
COLUMNS = 12
TITLE_HEIGHT = 18  # pixels, of a label's name above its row
LARGE_SIDE = 96  # pixels, of a thumbnail that stands alone
MAX_ROWS = 200  # the sheet of a thousand labels would be too high for many programs to open


def draw_thumbnails(images: LabelledImages, labels: Sequence[str], path: Path) -> None:
    """Write a PNG with the first images of each label."""
    rows, truth = drawable(labels)[:MAX_ROWS], truth_of(images.labels, len(labels))
    height = SIDE + TITLE_HEIGHT + GAP
    sheet = Image.new("RGB", (COLUMNS * (SIDE + GAP) + GAP, len(rows) * height + GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.truetype(str(FONT_FILE), TITLE_HEIGHT - 6)
    for row, label in enumerate(rows):
        mine = images.take(truth[:, row])
        top = row * height + GAP
        draw.text((GAP, top), f"{label} ({len(mine):,})", "black", font)
        for column, pixels in enumerate(mine.pixels[:COLUMNS].numpy()):
            thumbnail = Image.fromarray(pixels.squeeze()).resize((SIDE, SIDE))
            sheet.paste(thumbnail, (GAP + column * (SIDE + GAP), top + TITLE_HEIGHT))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, "PNG")


def thumbnail_url(pixels: NDArray[np.uint8]) -> str:
    """Return an image, uint8 [height, width, channels], as a small JPEG in a data URL."""
    image, file = Image.fromarray(pixels.squeeze()), io.BytesIO()
    image.thumbnail((LARGE_SIDE, LARGE_SIDE))
    image.save(file, "JPEG", quality=90)
    return data_url(file.getvalue(), "image/jpeg")
