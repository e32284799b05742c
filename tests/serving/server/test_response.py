"""The HTTP response: the bytes that the worker sends."""

import pytest

from serving.server.response import HTTPResponse


@pytest.fixture
def response():
    response = HTTPResponse()
    response.start("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    response.body = b"hello"
    return response


def test_head_and_body_are_one_message(response):
    lines = response.message(keep_alive=True).split(b"\r\n")

    assert lines[0] == b"HTTP/1.1 200 OK"
    assert {b"Connection: keep-alive", b"Content-Type: text/plain", b"Content-Length: 5"} <= set(lines)
    assert lines[-2:] == [b"", b"hello"]
    assert response.sent == 5


def test_the_last_response_of_a_connection_says_close(response):
    assert b"\r\nConnection: close\r\n" in response.message(keep_alive=False)


def test_a_response_to_head_has_no_body(response):
    assert response.message(True, "HEAD").endswith(b"\r\n\r\n")


def test_a_304_has_no_content_length():
    response = HTTPResponse()
    response.start("304 Not Modified", [])

    assert b"Content-Length" not in response.message(True)


def test_the_applications_date_replaces_the_workers(response):
    assert response.message(True).count(b"\r\nDate: ") == 1

    response.headers.append(("Date", "Thu, 26 Nov 2026 00:00:00 GMT"))

    message = response.message(True)
    assert message.count(b"Date: ") == message.count(b"Date: Thu, 26 Nov 2026 00:00:00") == 1


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b", "a\nb", "a\rb"])
def test_a_line_break_in_a_header_is_not_sent(response, value):
    response.headers.append(("Thimble-Model", value))

    with pytest.raises(ValueError, match="line break"):
        response.message(True)


def test_bytes_that_an_application_writes_are_part_of_the_body():
    response = HTTPResponse()

    write = response.start("200 OK", [])
    write(b"one, ")
    write(b"two")

    assert response.message(True).endswith(b"Content-Length: 8\r\n\r\none, two")
