"""A sheet of thumbnails: a row for each label, with some of its images as the model sees them."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from training.datasets.labelled import LabelledImages

SIDE, GAP = 64, 4  # pixels
COLUMNS = 12
TITLE_HEIGHT = 18  # pixels, of a label's name above its row
MAX_ROWS = 200  # the sheet of a thousand labels would be too high for many programs to open


def draw_thumbnails(images: LabelledImages, labels: Sequence[str], path: Path) -> None:
    """Write a PNG with the first images of each label."""
    rows = labels[:MAX_ROWS]
    height = SIDE + TITLE_HEIGHT + GAP
    sheet = Image.new("RGB", (COLUMNS * (SIDE + GAP) + GAP, len(rows) * height + GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(TITLE_HEIGHT - 6)
    for row, label in enumerate(rows):
        mine = images.take(images.labels == row)
        top = row * height + GAP
        draw.text((GAP, top), f"{label} ({len(mine):,})", "black", font)
        for column, pixels in enumerate(mine.pixels[:COLUMNS].numpy()):
            thumbnail = Image.fromarray(pixels.squeeze()).resize((SIDE, SIDE))
            sheet.paste(thumbnail, (GAP + column * (SIDE + GAP), top + TITLE_HEIGHT))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
