"""What the service logs, on standard error: one JSON object a line for machines, or lines for a person."""

import logging
import sys
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec
from gunicorn import glogging
from msgspec import Struct

TEXT = "%(asctime)s %(levelname)s %(message)s"


def moment(seconds: float) -> str:
    """Return a Unix time as RFC 3339 has it, to the millisecond."""
    return f"{_second(int(seconds))}.{int(seconds % 1 * 1000):03}Z"


@lru_cache(maxsize=8)  # many requests come in the same second
def _second(whole: int) -> str:
    return datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")


class Entry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request in the log: durations in milliseconds, models as NAME:VERSION, sent: bytes of the answer's body."""

    time: str
    level: str
    request: str
    method: str
    path: str
    status: int
    sent: int
    ms: float
    models: tuple[str, ...] = ()
    images: int = 0
    stages: dict[str, float] = {}

    def json(self) -> bytes:
        """Return it for a machine."""
        return msgspec.json.encode(self)

    def text(self) -> bytes:
        """Return it for a person."""
        models = f" {', '.join(self.models)} x {self.images}" if self.models else ""
        path = self.path.encode("unicode_escape").decode()  # no control character may reach a terminal
        return f"{self.time} {self.status} {self.method} {path}{models} {self.ms} ms {self.request}".encode()


class JsonLines(logging.Formatter):
    """Makes each record one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = {
            "time": moment(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(fields).decode()


def readable(settings_format: str | None) -> bool:
    """Whether to log for a person: where that is asked for, or where nothing is and one is watching."""
    return settings_format == "text" or (settings_format is None and sys.stderr.isatty())


class Log(glogging.Logger):  # type: ignore[misc]  # gunicorn has no annotations
    """gunicorn's own words in the same form as all others."""

    text = False

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        form = logging.Formatter(TEXT) if self.text else JsonLines()
        for handler in self.error_log.handlers:
            handler.setFormatter(form)
