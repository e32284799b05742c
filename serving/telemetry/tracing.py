"""Traces for OpenTelemetry, where its own environment variables ask for them; off, nothing of it is imported."""

import os
from collections.abc import Mapping
from typing import Any, Self

from serving.telemetry.logs import Entry
from serving.version import NAME, version_of_this

ENDPOINTS = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
EXPORTER, DISABLED = "OTEL_TRACES_EXPORTER", "OTEL_SDK_DISABLED"


class TracingError(ValueError):
    """Traces are asked for and cannot be made; the message says what to do."""


def wanted(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether traces are asked for; raises TracingError for an exporter that is not known here."""
    exporter = environment.get(EXPORTER, "")
    if exporter not in ("", "otlp", "none"):
        raise TracingError(f"{EXPORTER}={exporter!r}: traces are sent by otlp or by none")
    asked = exporter == "otlp" or any(environment.get(name) for name in ENDPOINTS)
    return asked and exporter != "none" and environment.get(DISABLED, "").lower() != "true"


def check_installed() -> None:
    """Raise TracingError where the packages are missing."""
    try:
        import opentelemetry.exporter.otlp.proto.http.trace_exporter
        import opentelemetry.sdk.trace  # noqa: F401  # only to see whether it is there
    except ModuleNotFoundError as error:
        raise TracingError(f"traces are asked for, and {error.name} is missing: pip install 'thimble[otel]'") from error


class Tracing:
    """Makes a span of each request, below the one that the client names in its traceparent."""

    def __init__(self) -> None:
        """Begin to send. Raises TracingError where the packages are not installed."""
        check_installed()
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.propagate import extract
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace import SpanKind, StatusCode

        resource = Resource({"service.name": NAME, "service.version": version_of_this()}).merge(
            OTELResourceDetector().detect()
        )
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer(NAME)
        self._extract, self._kind, self._failed = extract, SpanKind.SERVER, StatusCode.ERROR

    @classmethod
    def from_environment(cls) -> Self | None:
        """Return it if it is wanted. Raises TracingError."""
        return cls() if wanted() else None

    def record(self, entry: Entry, environ: Mapping[str, Any], began: float) -> None:
        """Note a request that has been answered, and began at this Unix time; it is sent a little later."""
        parent = self._extract(
            {name: environ.get(f"HTTP_{name.upper()}", "") for name in ("traceparent", "tracestate")}
        )
        start = int(began * 1e9)
        span = self._tracer.start_span(
            f"{entry.method} {entry.path}".strip(), parent, self._kind, _attributes(entry), start_time=start
        )
        if entry.status >= 500:
            span.set_status(self._failed)
        span.end(start + int(entry.ms * 1e6))

    def end(self) -> None:
        """Send what was noted."""
        self._provider.shutdown()


def _attributes(entry: Entry) -> dict[str, str | int | float | tuple[str, ...]]:
    """Return what is known of a request, in OpenTelemetry's words where it has some."""
    return {
        "http.request.method": entry.method,
        "url.path": entry.path,
        "http.response.status_code": entry.status,
        "http.response.body.size": entry.sent,
        "thimble.request_id": entry.request,
        "thimble.models": entry.models,
        "thimble.images": entry.images,
        **{f"thimble.{stage}_ms": value for stage, value in entry.stages.items()},
    }
