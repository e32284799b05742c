"""Results for texts that clients send are cached, and do not fill the memory."""

import tracemalloc
from functools import cache
from pathlib import Path

import pytest

from serving.access.authorization import Authorization, scopes_for
from serving.access.key_file import KeyFile
from serving.api.query import read_options
from serving.api.uploads import read_uploads
from serving.errors import Refusal
from serving.server.request import HTTPRequest
from serving.text_cache import MAX_CACHED_LENGTH, cached_if_short

LENGTH, TEXTS = 50_000, 100


def read_type(text):
    with pytest.raises(Refusal):
        read_uploads({"CONTENT_TYPE": f"text/{text}"}, b"a", None, ())


def read_header(text):
    request = HTTPRequest(None)
    request.target, request.headers = b"/", [(text.encode(), b"")]
    request.environ({})


@cache
def locked():
    return Authorization(KeyFile(Path("nothing")))  # it allows nobody


def read_key(text):
    with pytest.raises(Refusal):
        locked()({"PATH_INFO": "/models", "REQUEST_METHOD": "GET", "HTTP_X_API_KEY": text})


READERS = {
    "paths": lambda text: scopes_for(f"/{text}"),
    "queries": lambda text: read_options(f"model={text}"),
    "types": read_type,
    "headers": read_header,
    "keys": read_key,
}


@pytest.mark.parametrize("what", READERS)
def test_long_texts_leave_no_memory_behind(what):
    READERS[what]("a")
    tracemalloc.start()
    try:
        for number in range(TEXTS):
            READERS[what](f"{number}" + "a" * LENGTH)
        left, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert left < TEXTS * LENGTH / 10


def test_short_texts_are_read_once():
    read = []

    @cached_if_short(maxsize=2)
    def length(text, factor=1):
        read.append(text)
        return len(text) * factor

    long = "a" * (MAX_CACHED_LENGTH + 1)
    assert [length(text) for text in ("ab", "ab", long, long)] == [2, 2, len(long), len(long)]
    assert length("ab", 2) == 4
    assert read == ["ab", long, long, "ab"]
