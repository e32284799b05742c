"""Answers on their way out: in plain WSGI where speed counts, in Flask's form elsewhere."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import msgspec
from flask import Response

from serving.errors import InternalError, Refusal
from serving.telemetry.metrics import Metrics

JSON, PROBLEM = "application/json", "application/problem+json"
STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reply:
    """The body of an answer, and its head."""

    body: bytes
    kind: str = JSON
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    def flask(self) -> Response:
        """Return it as Flask's views do."""
        return Response(self.body, self.status, dict(self.headers), content_type=self.kind)

    def wsgi(self, start_response: Any) -> Iterable[bytes]:
        """Send it as a WSGI application does."""
        length = ("Content-Length", str(len(self.body)))
        start_response(STATUS_LINES[self.status], [("Content-Type", self.kind), length, *self.headers.items()])
        return [self.body]


class Problems:
    """Makes refusals problem documents (RFC 9457), and counts them by their code."""

    def __init__(self, metrics: Metrics) -> None:
        self._refusals = metrics.refusals

    def reply(self, refusal: Refusal) -> Reply:
        """Return the answer to a request that is refused."""
        self._refusals.labels(refusal.code).inc()
        later = {} if refusal.retry_after is None else {"Retry-After": str(refusal.retry_after)}
        # What led to it holds on to the request's body, and would until the next search for garbage.
        refusal.__traceback__ = refusal.__cause__ = refusal.__context__ = None
        return Reply(msgspec.json.encode(refusal.problem()), PROBLEM, refusal.status, later)


class Shortcut:
    """Takes one call past Flask's dispatch, which would cost as much as decoding the image does."""

    def __init__(
        self, application: Any, method: str, path: str, view: Callable[[dict[str, Any]], Reply], problems: Problems
    ) -> None:
        self._application = application
        self._method, self._path = method, path
        self._view = view
        self._problems = problems

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer as a WSGI application."""
        if environ["PATH_INFO"] != self._path or environ["REQUEST_METHOD"] != self._method:
            answered: Iterable[bytes] = self._application(environ, start_response)
            return answered
        try:
            reply = self._view(environ)
        except Refusal as refusal:
            reply = self._problems.reply(refusal)
        except Exception:  # what Flask does for all other calls
            log.exception("%s %s", self._method, self._path)
            reply = self._problems.reply(InternalError())
        return reply.wsgi(start_response)
