"""Send traces by OpenTelemetry where its own environment variables ask for that; otherwise import none of it."""

import os
import threading
from collections.abc import Mapping
from typing import Any, Self

from serving.telemetry.logs import RequestRecord
from serving.version import NAME, installed_version

ENDPOINTS = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
CLOSE_TIMEOUT = 3.0  # seconds: OpenTelemetry itself waits for ten of each batch, and Docker kills after ten
EXPORTER, DISABLED = "OTEL_TRACES_EXPORTER", "OTEL_SDK_DISABLED"


class TracingError(Exception):
    """Traces are asked for and cannot be sent; the message says what to do."""


def tracing_wanted(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether traces are asked for; raises TracingError for an unsupported exporter."""
    exporter = environment.get(EXPORTER, "")
    if exporter not in ("", "otlp", "none"):
        raise TracingError(f"{EXPORTER}={exporter!r}: expected otlp or none")
    requested = exporter == "otlp" or any(environment.get(name) for name in ENDPOINTS)
    return requested and exporter != "none" and environment.get(DISABLED, "").lower() != "true"


def check_tracing() -> None:
    """Raise TracingError when traces are asked for and cannot be sent."""
    if tracing := Tracing.from_environment():
        tracing.close()


class Tracing:
    """Makes a span of each request, a child of the one in the client's traceparent header."""

    def __init__(self) -> None:
        """Start to send. Raises TracingError when the packages are not installed, or refuse their own variables."""
        try:
            self._start()
        except ModuleNotFoundError as error:
            raise TracingError(
                f"traces need the package {error.name}, which is not installed: pip install '.[otel]' in Thimble's "
                "folder"
            ) from error
        except ValueError as error:
            raise TracingError(f"OpenTelemetry refuses a value of its variables (OTEL_...): {error}") from error

    def _start(self) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.propagate import extract
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace import SpanKind, StatusCode

        resource = Resource({"service.name": NAME, "service.version": installed_version()}).merge(
            OTELResourceDetector().detect()
        )
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer(NAME)
        self._extract, self._kind, self._failed = extract, SpanKind.SERVER, StatusCode.ERROR

    @classmethod
    def from_environment(cls) -> Self | None:
        """Return the tracing that the environment asks for, if any. Raises TracingError."""
        return cls() if tracing_wanted() else None

    def record(self, record: RequestRecord, environ: Mapping[str, Any], began: float) -> None:
        """Note an answered request that began at this Unix time; it is sent a little later."""
        parent = self._extract(
            {name: environ.get(f"HTTP_{name.upper()}", "") for name in ("traceparent", "tracestate")}
        )
        start = int(began * 1e9)
        span = self._tracer.start_span(
            f"{record.method} {record.path}".strip(), parent, self._kind, _attributes(record), start_time=start
        )
        if record.status >= 500:
            span.set_status(self._failed)
        span.end(start + int(record.ms * 1e6))

    def close(self) -> None:
        """Send what was noted, as far as the collector takes it in time."""
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(CLOSE_TIMEOUT)


def _attributes(record: RequestRecord) -> dict[str, str | int | float | tuple[str, ...]]:
    """Return a request's attributes, by OpenTelemetry's semantic conventions where there is one."""
    return {
        "http.request.method": record.method,
        "url.path": record.path,
        "http.response.status_code": record.status,
        "http.response.body.size": record.sent,
        "thimble.request_id": record.request,
        "thimble.models": record.models,
        "thimble.images": record.images,
        **{f"thimble.{stage}_ms": value for stage, value in record.stages.items()},
    }
