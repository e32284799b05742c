"""Log to standard error: one JSON object a line for machines, or lines for a person."""

import logging
import sys
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec
from gunicorn import glogging
from msgspec import Struct

STDERR = 2  # the file descriptor
TEXT_FORMAT = "%(asctime)s %(levelname)s %(message)s"


def rfc3339(seconds: float) -> str:
    """Return a Unix time in the format of RFC 3339, to the millisecond."""
    return f"{_to_the_second(int(seconds))}.{int(seconds % 1 * 1000):03}Z"


@lru_cache(maxsize=8)  # many requests come in the same second
def _to_the_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


class RequestRecord(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request in the log: durations in milliseconds, models as NAME:VERSION, sent: bytes of the answer's body.

    key: the name of the client's key, never the key.
    """

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
    key: str = ""

    def json(self) -> bytes:
        """Return the line for a machine."""
        return msgspec.json.encode(self)

    def text(self) -> bytes:
        """Return the line for a person."""
        models = f" {', '.join(self.models)} x {self.images}" if self.models else ""
        path = self.path.encode("unicode_escape").decode()  # control characters must not reach a terminal
        key = f" {self.key}" if self.key else ""
        return f"{self.time} {self.status} {self.method} {path}{models} {self.ms} ms {self.request}{key}".encode()


class JsonFormatter(logging.Formatter):
    """Formats each log record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = {
            "time": rfc3339(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage().encode(errors="backslashreplace").decode(),  # as of a path that is not UTF-8
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info).encode(errors="backslashreplace").decode()
        return msgspec.json.encode(fields).decode()


def text_wanted(log_format: str | None) -> bool:
    """Whether to log for a person: where the setting says so or, without a setting, on a terminal."""
    return log_format == "text" or (log_format is None and sys.stderr.isatty())


class GunicornLogger(glogging.Logger):  # type: ignore[misc]  # gunicorn has no annotations
    """Formats gunicorn's own messages like all others."""

    text = False

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        formatter = logging.Formatter(TEXT_FORMAT) if self.text else JsonFormatter()
        for handler in self.error_log.handlers:
            handler.setFormatter(formatter)
