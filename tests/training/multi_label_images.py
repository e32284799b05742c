"""Images that show several things at once, or nothing, with a CSV of their labels."""

import csv
from itertools import product
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

LABELS = ("disc", "square", "stripes")  # in index order
RED, BLUE, GREY = (200, 40, 40), (40, 60, 200), (120, 120, 120)


def picture(labels: tuple[str, ...], seed: int, side: int = 32) -> Image.Image:
    """Return an image that shows these labels, each in a place of its own; each seed gives another image."""
    random = np.random.default_rng(seed)
    image = Image.fromarray(random.integers(200, 256, (side, side, 3), dtype=np.uint8))
    draw, size = ImageDraw.Draw(image), side // 3
    if "stripes" in labels:
        for top in range(int(random.integers(0, 4)), side, 4):
            draw.line((0, top, side, top), GREY)
    for label, colour, shape in (("disc", RED, draw.ellipse), ("square", BLUE, draw.rectangle)):
        left, top = (int(place) for place in random.integers(0, side - size, 2))
        if label in labels:
            shape((left, top, left + size, top + size), colour)
    return image


def fill_multi_label(folder: Path, each: int = 8, side: int = 32) -> Path:
    """Write so many images of each combination of the labels, the empty one included; returns their CSV."""
    folder.mkdir(parents=True, exist_ok=True)
    table = folder / "labels.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("file", "label"))
        for seed, has in enumerate(product((False, True), (False, True), (False, True), range(each))):
            labels = tuple(label for label, one in zip(LABELS, has, strict=False) if one)
            picture(labels, seed, side).save(folder / f"{seed}.png")
            rows.writerow((f"{seed}.png", ";".join(labels)))
    return table
