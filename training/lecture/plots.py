"""Figures as the report has them: SVG in a data URL, in ink that follows the reader's light or dark page."""

import base64
import io
from collections.abc import Callable

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.lecture.section import Plot

WIDTH, HEIGHT = 9.0, 3.4  # inches
INK = "#24292f"  # of text and axes; in the file it gives way to the page's own
FOLLOW_THE_PAGE = "<style>:root{color:#24292f}@media(prefers-color-scheme:dark){:root{color:#d5dbe1}}</style>"
COLOURS = ("#3f83c8", "#df7a33", "#2f9e77", "#b0619e", "#c9a227", "#8a8f98", "#d2514f")  # seen on white and on black
STYLE = {
    "axes.edgecolor": INK,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlesize": 11,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "font.size": 10,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "svg.hashsalt": "thimble",  # the same figure is the same file
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}

Paint = Callable[[list[Axes]], None]


def draw(paint: Paint, alt: str, caption: str, columns: int = 1, rows: int = 1, height: float = HEIGHT) -> Plot:
    """Return the figure that paint fills, given its axes row by row."""
    with rc_context(STYLE):  # type: ignore[arg-type]  # its keys are literals in the annotations
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        paint(figure.subplots(rows, columns, squeeze=False).ravel().tolist())
        return Plot(_data_url(figure), alt, caption)


def _data_url(figure: Figure) -> str:
    """Return a figure as a data URL that says nothing of when and with what it was made."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    _, start, body = file.getvalue().partition("<svg ")
    attributes, end, content = body.partition(">")
    picture = start + attributes + end + FOLLOW_THE_PAGE + content.replace(INK, "currentColor")
    return f"data:image/svg+xml;base64,{base64.b64encode(picture.encode()).decode()}"
