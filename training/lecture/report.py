"""The report: all sections and the table of agreement in one self-contained HTML file."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from training.lecture.agreement import Row, format_value
from training.lecture.section import Section
from training.template import render

TEMPLATE = Path(__file__).with_suffix(".html")
CODE_PATTERN = re.compile("`(.+?)`")
CODE = Markup("<code>{}</code>")
NUMBER_PATTERN = re.compile(r"[-+]?[\d,./]+(e[-+]?\d+)?( ?%| s)?")


@dataclass(frozen=True)
class Report:
    """All sections, and a note on the run that computed them."""

    sections: Sequence[Section]
    run_note: str

    @property
    def rows(self) -> list[Row]:
        """The table of agreement."""
        return [row for section in self.sections for row in section.rows]

    @property
    def summary(self) -> str:
        """Return a sentence with the number of rows that agree and the names of those that do not."""
        disagreeing = [row.item for row in self.rows if not row.agrees]
        agree = f"{len(self.rows) - len(disagreeing)} of {len(self.rows)} results agree with the lecture"
        return f"{agree}; these do not: {', '.join(disagreeing)}." if disagreeing else f"{agree}."

    def to_html(self) -> str:
        """Return the page."""
        return render(TEMPLATE, {"prose": prose, "format_value": format_value, "align": align}, report=self)


def prose(text: str) -> Markup:
    """Return text as HTML; text between backticks becomes code."""
    parts = enumerate(CODE_PATTERN.split(text))  # those with odd numbers are code
    return Markup().join(CODE.format(part) if number % 2 else part for number, part in parts)  # escapes them


def align(cell: str) -> str:
    """Return the CSS class of a table cell: "number" is right-aligned."""
    return "number" if NUMBER_PATTERN.fullmatch(cell) else "text"
