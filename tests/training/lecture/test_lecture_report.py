from dataclasses import replace
from html.parser import HTMLParser

import pytest
import torch

from training.lecture import collapse, gradients
from training.lecture.agreement import Row
from training.lecture.report import Report, align, prose
from training.lecture.section import Matrices, Section, Table

VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Collects the ids and references of a page, and checks that every element is closed in turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.alts: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        self.ids += [found["id"]] if "id" in found else []
        self.references += [value for name, value in attributes if name in ("src", "href")]
        self.alts += [found["alt"]] if tag == "img" else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def report(lesson) -> Report:
    hostile = Section(
        "<Sections> & signs",
        ("`a < b` & so on", Table(("<th>",), [("<td>",)], "<caption>"), Matrices([("<m>", torch.eye(2))], "<figure>")),
        (Row("<item>", "<lecture>", 1, False, "<criterion>"),),
        ("report.prose",),
    )
    return Report([gradients.section(lesson), collapse.section(lesson), hostile], "Computed in no time.")


def test_the_page_is_well_formed_and_self_contained(report):
    page = Page(report.to_html())

    outside = [reference for reference in page.references if not reference.startswith(("data:", "#"))]
    assert outside == []
    assert "<script" not in report.to_html()
    assert "@import" not in report.to_html()
    assert all(page.alts)


def test_every_link_leads_to_one_section(report):
    page = Page(report.to_html())

    assert len(set(page.ids)) == len(page.ids)
    assert {reference[1:] for reference in page.references if reference.startswith("#")} <= set(page.ids)


def test_markup_in_texts_is_escaped(report):
    text = report.to_html()

    for written in ("<Sections>", '<th>"', "<item>", "<lecture>", "<criterion>", "<m>", "<figure>)", "a < b"):
        assert written not in text
    assert "<code>a &lt; b</code> &amp; so on" in text


def test_every_row_of_the_table_is_on_the_page_with_its_criterion(report):
    text = report.to_html()

    assert "Gradients and ReLU" in text
    assert "at most 1e-12, for rounding" in text
    assert text.count('class="yes"') + text.count('class="no"') == len(report.rows)
    assert text.count('class="no"') == 1


def test_the_summary_names_the_rows_that_disagree(report):
    assert report.summary == "5 of 6 results agree with the lecture; these do not: <item>."
    assert replace(report, sections=report.sections[:2]).summary == "5 of 5 results agree with the lecture."


def test_backticks_mark_code():
    assert prose("`y = x` is <simple>") == "<code>y = x</code> is &lt;simple&gt;"


@pytest.mark.parametrize(
    ("cell", "kind"),
    [
        *((cell, "number") for cell in ("0.5", "101,770", "1.3e-30", "27%", "0.9 s", "1/8")),
        *((cell, "text") for cell in ("relu", "(30, 30, 32)", "")),
    ],
)
def test_numbers_are_right_aligned(cell, kind):
    assert align(cell) == kind
