"""The service's log lines: JSON for machines, text for a person."""

import json
import logging
import sys

import pytest
from gunicorn.config import Config

from serving.telemetry.logs import GunicornLogger, JsonFormatter, rfc3339, text_wanted


@pytest.fixture
def record():
    return logging.LogRecord("serving.app", logging.ERROR, __file__, 1, "two\nlines of %s", ("it",), None)


def test_a_record_is_one_line_of_json(record):
    line = JsonFormatter().format(record)

    assert "\n" not in line
    fields = json.loads(line)
    assert (fields["level"], fields["logger"], fields["message"]) == ("error", "serving.app", "two\nlines of it")
    assert fields["process"] == record.process


def test_a_name_that_is_not_utf_8_is_escaped(record):
    record.args = ("gr\udcfcn",)
    try:
        raise KeyError("\udcfc")
    except KeyError:
        record.exc_info = sys.exc_info()

    fields = json.loads(JsonFormatter().format(record))

    assert fields["message"] == "two\nlines of gr\\udcfcn"
    assert r"\udcfc" in fields["exception"]


def test_a_traceback_is_part_of_the_line(record):
    try:
        raise KeyError("lost")
    except KeyError:
        record.exc_info = sys.exc_info()

    line = JsonFormatter().format(record)

    assert "\n" not in line
    assert "KeyError: 'lost'" in json.loads(line)["exception"]


def test_a_time_is_written_in_utc_to_the_millisecond():
    assert rfc3339(1_700_000_000.1234) == "2023-11-14T22:13:20.123Z"


@pytest.mark.parametrize(("log_format", "terminal", "text"), [
    (None, True, True), (None, False, False), ("json", True, False), ("text", False, True),
])  # fmt: skip
def test_logs_are_text_on_a_terminal_or_where_the_setting_says_so(monkeypatch, log_format, terminal, text):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)

    assert text_wanted(log_format) is text


@pytest.mark.parametrize(("text", "formatter"), [(False, JsonFormatter), (True, logging.Formatter)])
def test_gunicorns_own_messages_have_the_same_format(monkeypatch, text, formatter):
    monkeypatch.setattr(GunicornLogger, "text", text)

    log = GunicornLogger(Config())

    assert {type(handler.formatter) for handler in log.error_log.handlers} == {formatter}
