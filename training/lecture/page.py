"""The report: sections and the table of agreement in one HTML file that needs nothing else."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from training.lecture.agreement import Row, shown
from training.lecture.section import Section

CODE = re.compile("`(.+?)`")
NUMBER = re.compile(r"[-+]?[\d,./]+(e[-+]?\d+)?( ?%| s)?")


@dataclass(frozen=True)
class Report:
    """All sections, and a sentence that says what they were made with."""

    sections: Sequence[Section]
    made: str

    @property
    def rows(self) -> list[Row]:
        """The table of agreement."""
        return [row for section in self.sections for row in section.rows]

    @property
    def summary(self) -> str:
        """Return in a sentence how many rows agree, and which do not."""
        others = [row.item for row in self.rows if not row.agrees]
        agree = f"{len(self.rows) - len(others)} of {len(self.rows)} agree"
        return f"{agree}; not: {', '.join(others)}." if others else f"{agree}."

    def to_html(self) -> str:
        """Return the page."""
        environment = Environment(
            loader=FileSystemLoader(Path(__file__).parent),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters.update(prose=prose, shown=shown, align=align)
        return environment.get_template("report.html").render(report=self)


def prose(text: str) -> Markup:
    """Return text as HTML, with what stands between backticks as code."""
    return Markup(CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704  # escaped just before


def align(cell: str) -> str:
    """Return the class of a table's cell: numbers are set to the right."""
    return "number" if NUMBER.fullmatch(cell) else "text"
