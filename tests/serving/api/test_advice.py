"""Advice in refusals: what it is found by, and how much of a body is searched for it."""

import pytest

from serving.api.advice import WRAPPED_START, advise_json
from serving.api.uploads import Uploads
from serving.errors import Overloaded, UnreadableImage

LINE = b"A" * 76


@pytest.mark.parametrize("line_break", [b"\n", b"\r\n"])
def test_base64_in_lines_is_found_by_its_first_line(line_break):
    body = b'{"image": "' + line_break.join([LINE] * 3) + b'"}'

    assert "write the base64 in one line" in advise_json(body)


def test_only_the_start_of_a_large_body_is_searched():
    body = b'{"' + b"a" * WRAPPED_START + b"\n" + b'a": 1}'

    assert advise_json(body) == ""


def test_only_the_refusal_of_an_image_gets_the_advice_on_how_to_send_it():
    uploads = Uploads([b"damaged"], advice=" Send it otherwise.")
    busy = Overloaded("Too many images.")

    assert str(uploads.advise(UnreadableImage("It is damaged."))) == "It is damaged. Send it otherwise."
    assert uploads.advise(busy) is busy
