"""Responses in the making: sent as plain WSGI where speed counts, as Flask responses elsewhere."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from wsgiref.types import StartResponse

import msgspec
from flask import Response

from serving.errors import Refusal
from serving.inference.timings import Timings
from serving.model.classifier import Classifier
from serving.telemetry.metrics import Metrics

JSON, PROBLEM = "application/json", "application/problem+json"
MODEL_HEADER = "Thimble-Model"
METHODS = "GET, HEAD, OPTIONS, POST"  # of all paths together
STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


@dataclass(frozen=True)
class Reply:
    """A response: body, content type, status and further headers."""

    body: bytes
    content_type: str = JSON
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    def flask(self) -> Response:
        """Return it as a Flask response."""
        return Response(self.body, self.status, dict(self.headers), content_type=self.content_type)

    def wsgi(self, start_response: StartResponse) -> Iterable[bytes]:
        """Send it as a WSGI application does."""
        length = ("Content-Length", str(len(self.body)))
        headers = [("Content-Type", self.content_type), length, *self.headers.items()]
        start_response(STATUS_LINES[self.status], headers)
        return [self.body]


class ProblemReplies:
    """Turns refusals into problem documents (RFC 9457), and counts them by code."""

    def __init__(self, metrics: Metrics) -> None:
        self._refusals = metrics.refusals

    def reply(self, refusal: Refusal) -> Reply:
        """Return the reply to a refused request."""
        self._refusals.labels(refusal.code).inc()
        # Its traceback and causes hold the request's body, and would until the next garbage collection.
        refusal.__traceback__ = refusal.__cause__ = refusal.__context__ = None
        return Reply(msgspec.json.encode(refusal.problem()), PROBLEM, refusal.status, refusal.headers())


def prediction_headers(classifiers: Iterable[Classifier], timings: Timings) -> dict[str, str]:
    """Return the headers of a reply that models gave: their files, to ask for the same answer again, and the times."""
    files = ", ".join(f"{classifier.full_name}@{classifier.digest}" for classifier in classifiers)
    return {MODEL_HEADER: files, "Server-Timing": timings.server_timing()}
