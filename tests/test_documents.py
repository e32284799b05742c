"""The documents lead where they say: each link to a file, and to a heading in it."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
NOT_IN_ANCHORS = re.compile(r"[^\w -]")


def anchors(document: Path) -> set[str]:
    """Return the anchors of a document's headings, as GitHub makes them."""
    without_blocks = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    return {NOT_IN_ANCHORS.sub("", heading.lower()).replace(" ", "-") for heading in HEADING.findall(without_blocks)}


def is_broken(link: str, document: Path) -> bool:
    path, _, anchor = link.partition("#")
    target = document.parent / path if path else document
    return not target.exists() or bool(anchor and anchor not in anchors(target))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(ROOT)))
def test_each_link_leads_to_a_file_and_to_a_heading_in_it(document):
    links = [link for link in LINK.findall(CODE.sub("", document.read_text())) if "://" not in link]

    assert [link for link in links if is_broken(link, document)] == []


def test_a_link_to_a_heading_that_does_not_exist_is_found():
    document = ROOT / "docs/training.md"

    assert is_broken("#no-such-heading", document)
    assert is_broken("nothing.md", document)
    assert not is_broken("../README.md#how-it-fits", document)
