"""The font of plots and thumbnails, and labels as it can draw them."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.ft2font import FT2Font

FONT_FILE = Path(matplotlib.get_data_path(), "fonts/ttf/DejaVuSans.ttf")  # matplotlib's own, and what it draws with


def drawable(labels: Sequence[str]) -> list[str]:
    """Return the labels; of one with a letter that the font lacks, such as a Chinese one, its index among them."""
    letters = FT2Font(str(FONT_FILE)).get_charmap()
    return [
        label if all(ord(letter) in letters for letter in label) else f"index {index}"
        for index, label in enumerate(labels)
    ]
