"""An answer on its way out."""

import pytest

from serving.server.worker import Answer


@pytest.fixture
def answer():
    answer = Answer()
    answer.start("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    answer.body = b"hello"
    return answer


def test_head_and_body_are_one_message(answer):
    lines = answer.message(True).split(b"\r\n")

    assert lines[0] == b"HTTP/1.1 200 OK"
    assert {b"Connection: keep-alive", b"Content-Type: text/plain", b"Content-Length: 5"} <= set(lines)
    assert lines[-2:] == [b"", b"hello"]
    assert answer.sent == 5


def test_the_last_answer_says_that_it_is(answer):
    assert b"\r\nConnection: close\r\n" in answer.message(False)


def test_an_answer_to_head_has_no_body(answer):
    assert answer.message(True, "HEAD").endswith(b"\r\n\r\n")


def test_an_answer_that_has_no_body_has_no_length():
    answer = Answer()
    answer.start("304 Not Modified", [])

    assert b"Content-Length" not in answer.message(True)


def test_there_is_one_date_the_applications_own_if_it_gives_one(answer):
    assert answer.message(True).count(b"\r\nDate: ") == 1

    answer.headers.append(("Date", "Thu, 26 Nov 2026 00:00:00 GMT"))

    assert answer.message(True).count(b"Date: ") == answer.message(True).count(b"Date: Thu, 26 Nov 2026 00:00:00") == 1


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b", "a\nb", "a\rb"])
def test_a_line_break_in_a_header_is_not_sent(answer, value):
    answer.headers.append(("Thimble-Model", value))

    with pytest.raises(ValueError, match="line break"):
        answer.message(True)


def test_what_an_application_writes_is_sent_too():
    answer = Answer()

    write = answer.start("200 OK", [])
    write(b"one, ")
    write(b"two")

    assert answer.message(True).endswith(b"Content-Length: 8\r\n\r\none, two")
