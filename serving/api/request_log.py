"""Every request, by an id that its client and the log share: logged, counted, and traced where that is set up."""

import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from random import getrandbits
from typing import Any

from serving.api.replies import Reply
from serving.errors import Refusal
from serving.telemetry.logs import Entry, moment
from serving.telemetry.metrics import Metrics
from serving.inference.timings import SHOWN, STAGES, Stages
from serving.telemetry.tracing import Tracing

ID_HEADER = "X-Request-ID"
ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
QUIET = ("/livez", "/readyz", "/metrics", "/v2/health/live", "/v2/health/ready")  # asked for all day; failures are told
PATH_LENGTH = 200
LINES_BYTES = 3_500  # written at once: a pipe takes up to 4,096 bytes of one process before those of another

Start = Callable[..., Any]


class Journal:
    """A WSGI application around another; write: where lines go, None if nowhere."""

    def __init__(
        self,
        application: Any,
        metrics: Metrics,
        write: Callable[[bytes], object] | None,
        readable: bool,
        tracing: Tracing | None,
    ) -> None:
        self._application = application
        self._requests = metrics.requests
        self._write = write
        self._readable = readable
        self._tracing = tracing
        self._counts: Counter[tuple[str, str, int]] = Counter()
        self._lines: list[bytes] = []
        self._length = 0

    def __call__(self, environ: dict[str, Any], start_response: Start) -> Iterable[bytes]:
        """Answer as the application does, with the request's id."""
        began, start = time.time(), time.perf_counter()
        given = environ.get("HTTP_X_REQUEST_ID", "")
        name = given if given and ID.fullmatch(given) else _new_id()
        status, size = 500, 0

        def start_with_id(line: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            nonlocal status, size
            status, size = int(line[:3]), int(dict(headers).get("Content-Length", 0))
            return start_response(line, [*headers, (ID_HEADER, name)], *more)

        parts: Iterable[bytes] = self._application(environ, start_with_id)
        self._enter(environ, name, status, size, began, time.perf_counter() - start)
        return parts

    def refusing(self, answer: Callable[[Refusal], Reply]) -> Callable[[Refusal], Reply]:
        """Return what answers to something that never became a request, with an id as well."""

        def refuse(refusal: Refusal) -> Reply:
            reply, name = answer(refusal), _new_id()
            self._enter({}, name, refusal.status, len(reply.body), time.time(), 0.0)
            return replace(reply, headers={**reply.headers, ID_HEADER: name})

        return refuse

    def tick(self) -> None:
        """Count and write what was noted."""
        counts, self._counts = self._counts, Counter()
        for (model, version, status), count in counts.items():
            self._requests.labels(model, version, status).inc(count)
        self._flush()

    def end(self) -> None:
        """Send the traces that are left; nothing may follow."""
        if self._tracing:
            self._tracing.end()

    def _enter(self, environ: dict[str, Any], name: str, status: int, size: int, began: float, seconds: float) -> None:
        entry = _entry(environ, name, status, size, began, seconds)
        for whose in entry.models or (":",):
            model, version = whose.rsplit(":", 1)
            self._counts[model, version, status] += 1
        if self._tracing:
            self._tracing.record(entry, environ, began)
        if self._write and not (entry.path in QUIET and status < 400):
            self._note(entry.text() if self._readable else entry.json())
            if status >= 500:
                self._flush()

    def _note(self, line: bytes) -> None:
        if self._length + len(line) > LINES_BYTES:
            self._flush()
        self._lines.append(line)
        self._length += len(line) + 1

    def _flush(self) -> None:
        lines, self._lines, self._length = self._lines, [], 0
        if lines and self._write:
            with suppress(OSError):  # nobody reads the log any more: that is no reason to refuse requests
                self._write(b"\n".join(lines) + b"\n")


def _new_id() -> str:
    return f"{getrandbits(64):016x}"  # a name, not a secret


def to_standard_error(lines: bytes) -> None:
    """Write lines at once."""
    sys.stderr.buffer.write(lines)
    sys.stderr.flush()


def _entry(environ: dict[str, Any], name: str, status: int, size: int, began: float, seconds: float) -> Entry:
    stages: Stages | None = environ.get(STAGES)
    batches = stages.batches if stages else ()
    return Entry(
        time=moment(began),
        level="info" if status < 400 else "warning" if status < 500 else "error",
        request=name,
        method=environ.get("REQUEST_METHOD", ""),
        path=environ.get("PATH_INFO", "")[:PATH_LENGTH],
        status=status,
        sent=size,
        ms=round(seconds * 1e3, 3),
        models=tuple(f"{batch.classifier.card.name}:{batch.classifier.card.version}" for batch in batches),
        images=sum(batch.images for batch in batches),
        stages={stage: round(getattr(stages, stage) * 1e3, 3) for stage in SHOWN} if stages else {},
    )
