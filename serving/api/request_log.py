"""The middleware around all requests: each has an id that client and log share, is logged, counted and traced."""

import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from random import getrandbits
from typing import Any, NamedTuple
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from serving.access.caller import ANSWER_HEADERS_KEY, KEY_NAME
from serving.api.replies import METHODS, ProblemReplies
from serving.api.v2.protocol import as_v2_error, is_v2
from serving.errors import BadRequest, MethodNotAllowed, Refusal
from serving.inference.timings import REPORTED_STAGES, TIMINGS_KEY, Timings
from serving.telemetry.dropped_lines import DroppedLines
from serving.telemetry.logs import STDERR, RequestRecord, rfc3339
from serving.telemetry.metrics import Metrics
from serving.telemetry.tracing import Tracing

ID_HEADER = "X-Request-ID"
ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
PROBE_PATHS = ("/livez", "/readyz", "/metrics", "/v2/health/live", "/v2/health/ready")  # logged only when they fail
MAX_PATH_LENGTH = 200
MAX_METHOD_LENGTH = 40
RECORD_AT = 16  # requests: made into records together, each takes less time than alone, between others
LOGGED = ("REQUEST_METHOD", "PATH_INFO", KEY_NAME, TIMINGS_KEY, "HTTP_TRACEPARENT", "HTTP_TRACESTATE")
WRITE_BYTES = 3_500  # a pipe takes up to 4,096 bytes of one process before those of another

POLICY = "Content-Security-Policy"
SECURITY = (  # headers of every answer; what is shown in a browser as a page has a policy of its own
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    (POLICY, "default-src 'none'; frame-ancestors 'none'"),
)


class Answered(NamedTuple):
    """A request that was answered, until it is logged. began: Unix time. environ: what the log takes of it."""

    environ: Mapping[str, Any]
    request_id: str
    status: int
    size: int
    began: float
    seconds: float


class RequestLog:
    """A WSGI application around another."""

    def __init__(
        self,
        application: WSGIApplication,
        problems: ProblemReplies,
        metrics: Metrics,
        write: Callable[[bytes], object] | None = None,
        as_text: bool = False,
        tracing: Tracing | None = None,
    ) -> None:
        """write: writes lines, and raises nothing; None logs nothing. as_text: lines for a person instead of JSON."""
        self._application = application
        self._problems = problems
        self._requests = metrics.requests
        self._write = write
        self._as_text = as_text
        self._tracing = tracing
        self._counts: Counter[tuple[str, str, int]] = Counter()
        self._answered: list[Answered] = []
        self._lines: list[bytes] = []
        self._length = 0

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer as the application does, with the request's id in a header."""
        began, start = time.time(), time.perf_counter()
        given = environ.get("HTTP_X_REQUEST_ID", "")
        request_id = given if given and ID.fullmatch(given) else _new_id()
        status, size = 500, 0

        def start_with_id(line: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            nonlocal status, size
            sent = dict(headers)
            status, size = int(line[:3]), int(sent.get("Content-Length", 0))
            security = SECURITY[:-1] if POLICY in sent else SECURITY
            return start_response(
                line, [*headers, *environ.get(ANSWER_HEADERS_KEY, ()), *security, (ID_HEADER, request_id)], *more
            )

        parts = self._application(environ, start_with_id)
        self._note(environ, request_id, status, size, began, time.perf_counter() - start)
        return parts

    def refuse_malformed(self, reason: str, target: str, start_response: StartResponse) -> Iterable[bytes]:
        """Refuse bytes that are not a valid HTTP request, with an id as well; a WSGI response."""
        return self._refuse(BadRequest(f"Not a valid HTTP/1.1 request: {reason}."), target, start_response)

    def refuse_method(self, method: str, target: str, start_response: StartResponse) -> Iterable[bytes]:
        """Refuse a method that the HTTP parser does not know; a WSGI response."""
        refusal = MethodNotAllowed(f"The method {method[:MAX_METHOD_LENGTH]} is not known; use one of {METHODS}.")
        return self._refuse(refusal, target, start_response, Allow=METHODS)

    def _refuse(self, refusal: Refusal, target: str, start_response: StartResponse, **more: str) -> Iterable[bytes]:
        request_id, path = _new_id(), target.partition("?")[0]
        reply = self._problems.reply(refusal)
        if is_v2(path):
            reply = as_v2_error(reply, refusal)
        self._note({"PATH_INFO": path}, request_id, refusal.status, len(reply.body), time.time(), 0.0)
        headers = {**reply.headers, **more, **dict(SECURITY), ID_HEADER: request_id}
        return replace(reply, headers=headers).wsgi(start_response)

    def flush(self) -> None:
        """Count and write what was noted."""
        self._record_answered()
        counts, self._counts = self._counts, Counter()
        for (model, version, status), count in counts.items():
            self._requests.labels(model, version, status).inc(count)
        self._write_lines()

    def close(self) -> None:
        """Send the traces that are left; no request may follow."""
        self._record_answered()
        if self._tracing:
            self._tracing.close()

    def _note(
        self, environ: Mapping[str, Any], request_id: str, status: int, size: int, began: float, seconds: float
    ) -> None:
        kept = {key: environ[key] for key in LOGGED if key in environ}  # not the body, which the environ holds
        self._answered.append(Answered(kept, request_id, status, size, began, seconds))
        if len(self._answered) >= RECORD_AT or status >= 500:
            self._record_answered()
        if status >= 500:
            self._write_lines()

    def _record_answered(self) -> None:
        answered, self._answered = self._answered, []
        for one in answered:
            self._record(_request_record(one), one)

    def _record(self, record: RequestRecord, answered: Answered) -> None:
        for name in record.models or (":",):
            model, version = name.rsplit(":", 1)
            self._counts[model, version, record.status] += 1
        if self._tracing:
            self._tracing.record(record, answered.environ, answered.began)
        if self._write and not (record.path in PROBE_PATHS and record.status < 400):
            self._add_line(record.text() if self._as_text else record.json())

    def _add_line(self, line: bytes) -> None:
        if self._length + len(line) > WRITE_BYTES:
            self._write_lines()
        self._lines.append(line)
        self._length += len(line) + 1

    def _write_lines(self) -> None:
        lines, self._lines, self._length = self._lines, [], 0
        if lines and self._write:
            self._write(b"\n".join(lines) + b"\n")


def write_to_stderr(dropped: DroppedLines, lines: bytes) -> None:
    """Write lines at once, or count them as dropped: a log that nobody reads is not a reason to refuse requests."""
    try:
        os.write(STDERR, lines)
    except OSError:
        dropped.add(lines.count(b"\n"))


def _new_id() -> str:
    return f"{getrandbits(64):016x}"  # an identifier, not a secret


def _as_sent(path: str) -> str:
    """Return a path as its client wrote it: WSGI has each of its bytes as a letter (PEP 3333)."""
    return path.encode("latin-1", "replace").decode("utf-8", "replace")


def _request_record(answered: Answered) -> RequestRecord:
    environ, status = answered.environ, answered.status
    timings: Timings | None = environ.get(TIMINGS_KEY)
    runs = timings.runs if timings else ()
    return RequestRecord(
        time=rfc3339(answered.began),
        level="info" if status < 400 else "warning" if status < 500 else "error",
        request=answered.request_id,
        method=environ.get("REQUEST_METHOD", ""),
        path=_as_sent(environ.get("PATH_INFO", ""))[:MAX_PATH_LENGTH],
        status=status,
        key=environ.get(KEY_NAME, ""),
        sent=answered.size,
        ms=round(answered.seconds * 1e3, 3),
        models=tuple(dict.fromkeys(run.classifier.full_name for run in runs)),
        images=sum(run.images for run in runs),
        stages={stage: round(getattr(timings, stage) * 1e3, 3) for stage in REPORTED_STAGES} if timings else {},
    )
