"""Figures as SVG in data URLs, in colors that follow the reader's light or dark theme."""

import io
from collections.abc import Callable

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from serving.imaging.png import data_url

TEXT_COLOR = "#24292f"  # of text and axes; the file replaces it with currentColor, which THEME_STYLE sets
THEME_STYLE = "<style>:root{color:#24292f}@media(prefers-color-scheme:dark){:root{color:#d5dbe1}}</style>"
COLORS = ("#3f83c8", "#df7a33", "#2f9e77", "#b0619e", "#c9a227", "#8a8f98", "#d2514f")  # visible on white and on black
MATPLOTLIB_STYLE = {
    "axes.edgecolor": TEXT_COLOR,
    "axes.grid": True,
    "axes.labelcolor": TEXT_COLOR,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": TEXT_COLOR,
    "axes.titlesize": 11,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "font.size": 10,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "svg.hashsalt": "thimble",  # the same figure gives the same file
    "text.color": TEXT_COLOR,
    "xtick.color": TEXT_COLOR,
    "ytick.color": TEXT_COLOR,
}

Paint = Callable[[list[Axes]], None]


def figure_url(paint: Paint, width: float, height: float, columns: int = 1, rows: int = 1) -> str:
    """Return a figure of this size in inches as a data URL; paint fills its axes, which it gets row by row."""
    with rc_context(MATPLOTLIB_STYLE):  # type: ignore[arg-type]  # its keys are literals in the annotations
        figure = Figure(figsize=(width, height), layout="constrained")
        paint(figure.subplots(rows, columns, squeeze=False).ravel().tolist())
        return _data_url(figure)


def _data_url(figure: Figure) -> str:
    """Return a figure as a data URL, without the metadata that names its date and its program."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
    _, start, body = file.getvalue().partition("<svg ")
    attributes, end, content = body.partition(">")
    svg = start + attributes + end + THEME_STYLE + content.replace(TEXT_COLOR, "currentColor")
    return data_url(svg.encode(), "image/svg+xml")
