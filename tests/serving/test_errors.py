"""The tree of refusals: the docstring draws exactly the classes."""

import re

import msgspec
import pytest

from serving import errors

DRAWN = re.compile(r"^(?P<indent>[ │]*)[├└]── (?P<name>\w+) +(?P<status>\d{3}) (?P<code>[a-z-]+)$")


def descendants(kind: type[errors.Refusal]) -> list[type[errors.Refusal]]:
    return [found for child in kind.__subclasses__() for found in (child, *descendants(child))]


def drawing() -> set[tuple[str, str, int, str]]:
    """Return parent, name, status and code of each class in the docstring."""
    above = {0: "Refusal"}
    drawn = set()
    for line in errors.__doc__.splitlines():
        if match := DRAWN.match(line):
            depth = len(match["indent"]) // 4 + 1
            above[depth] = match["name"]
            drawn.add((above[depth - 1], match["name"], int(match["status"]), match["code"]))
    return drawn


def test_the_docstring_draws_the_tree_of_classes():
    classes = {(kind.__base__.__name__, kind.__name__, kind.status, kind.code) for kind in descendants(errors.Refusal)}

    assert drawing() == classes


@pytest.mark.parametrize("kind", descendants(errors.Refusal), ids=lambda kind: kind.code)
def test_a_problem_has_type_title_status_detail_and_code(kind):
    problem = msgspec.to_builtins(kind("This is wrong.").problem())

    assert problem == {
        "type": f"urn:thimble:problem:{kind.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": "This is wrong.",
        "code": kind.code,
    }


def test_no_two_refusals_share_a_code():
    codes = [kind.code for kind in descendants(errors.Refusal)]

    assert len(codes) == len(set(codes))
