"""The service's own words, as machines and persons read them."""

import json
import logging
import sys

import pytest
from gunicorn.config import Config

from serving.telemetry.logs import JsonLines, Log, moment, readable


@pytest.fixture
def record():
    return logging.LogRecord("serving.app", logging.ERROR, __file__, 1, "two\nlines of %s", ("it",), None)


def test_a_record_is_one_line_of_json(record):
    line = JsonLines().format(record)

    assert "\n" not in line
    fields = json.loads(line)
    assert (fields["level"], fields["logger"], fields["message"]) == ("error", "serving.app", "two\nlines of it")
    assert fields["process"] == record.process


def test_a_traceback_is_part_of_the_line(record):
    try:
        raise KeyError("lost")
    except KeyError:
        record.exc_info = sys.exc_info()

    line = JsonLines().format(record)

    assert "\n" not in line
    assert "KeyError: 'lost'" in json.loads(line)["exception"]


def test_a_moment_is_told_in_utc_to_the_millisecond():
    assert moment(1_700_000_000.1234) == "2023-11-14T22:13:20.123Z"


@pytest.mark.parametrize(("form", "terminal", "text"), [
    (None, True, True), (None, False, False), ("json", True, False), ("text", False, True),
])  # fmt: skip
def test_a_person_is_written_for_where_one_is_watching_or_it_is_asked_for(monkeypatch, form, terminal, text):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)

    assert readable(form) is text


@pytest.mark.parametrize(("text", "kind"), [(False, JsonLines), (True, logging.Formatter)])
def test_gunicorn_says_its_own_words_in_the_same_form(monkeypatch, text, kind):
    monkeypatch.setattr(Log, "text", text)

    log = Log(Config())

    assert {type(handler.formatter) for handler in log.error_log.handlers} == {kind}
