"""The report's figures, each with its description and its caption."""

from training.figure import Paint, figure_url
from training.lecture.section import Plot

FIGURE_WIDTH, FIGURE_HEIGHT = 9.0, 3.4  # inches


def draw(paint: Paint, alt: str, caption: str, columns: int = 1, rows: int = 1, height: float = FIGURE_HEIGHT) -> Plot:
    """Return a figure; paint fills its axes, which it gets row by row."""
    return Plot(figure_url(paint, FIGURE_WIDTH, height, columns, rows), alt, caption)
