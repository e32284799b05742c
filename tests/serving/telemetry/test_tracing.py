"""Traces, as an OpenTelemetry collector receives them."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from serving.app import create_app
from serving.lifecycle import Lifecycle
from serving.settings import Settings
from serving.telemetry import tracing
from serving.telemetry.tracing import ENDPOINTS, Tracing, TracingError, check_tracing, tracing_wanted

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def received(monkeypatch) -> Iterator[list[ExportTraceServiceRequest]]:
    """The requests that a collector, named in the environment, has received."""
    requests: list[ExportTraceServiceRequest] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            requests.append(ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        yield requests
        server.shutdown()
        thread.join()


def spans(received) -> list[Span]:
    return [
        span
        for request in received
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def test_each_request_is_a_span_below_its_clients(received, models, image):
    app = create_app(Settings(models=str(models)))
    headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01", "X-Request-ID": "me"}
    app.test_client().post("/classify", data=image("bag"), content_type="image/png", headers=headers)
    Lifecycle.of(app).close()

    (span,) = spans(received)

    assert span.name == "POST /classify"
    assert span.trace_id.hex() == TRACE
    assert span.parent_span_id.hex() == "00f067aa0ba902b7"
    assert span.kind == Span.SPAN_KIND_SERVER
    assert span.end_time_unix_nano > span.start_time_unix_nano
    found = {one.key: one.value for one in span.attributes}
    assert found["http.response.status_code"].int_value == 200
    assert found["thimble.request_id"].string_value == "me"
    assert [value.string_value for value in found["thimble.models"].array_value.values] == ["fashion-mlp:2"]
    assert found["thimble.infer_ms"].double_value > 0


def test_a_collector_that_does_not_answer_does_not_hold_up_the_end(monkeypatch, models):
    monkeypatch.setattr(tracing, "CLOSE_TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        app = create_app(Settings(models=str(models)))
        app.test_client().get("/models")
        began = time.monotonic()
        Lifecycle.of(app).close()

    assert time.monotonic() - began < 5  # of the ten that one batch has


def test_a_failure_is_a_failed_span_of_its_own_trace(received, tmp_path):
    app = create_app(Settings(models=str(tmp_path)))
    app.test_client().get("/readyz")
    Lifecycle.of(app).close()

    (span,) = spans(received)

    assert not span.parent_span_id
    assert span.status.code == span.status.STATUS_CODE_ERROR


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({ENDPOINTS[0]: "http://collector:4318"}, True),
        ({ENDPOINTS[1]: "http://collector:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({ENDPOINTS[0]: "http://collector:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({ENDPOINTS[0]: "http://collector:4318", "OTEL_SDK_DISABLED": "True"}, False),
    ],
)
def test_traces_are_made_where_opentelemetrys_own_variables_ask_for_them(environment, wanted):
    assert tracing_wanted(environment) is wanted


def test_an_unknown_exporter_is_refused():
    with pytest.raises(TracingError, match=r"OTEL_TRACES_EXPORTER='zipkin'.*otlp"):
        tracing_wanted({"OTEL_TRACES_EXPORTER": "zipkin"})


def test_nothing_is_imported_without_tracing():
    code = "import sys, serving.app; serving.app.Tracing.from_environment(); print('opentelemetry' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert run.stdout == "False\n"


def test_missing_packages_are_refused_with_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")

    with pytest.raises(TracingError, match=r"pip install '\.\[otel\]'"):
        Tracing.from_environment()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "many", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT must be .* but got many"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "-1", "max_queue_size must be a positive integer"),
    ],
)
def test_values_that_opentelemetry_refuses_are_refused_before_the_service_starts(name, value, message, monkeypatch):
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    monkeypatch.setenv(name, value)

    with pytest.raises(TracingError, match=message):
        check_tracing()


def test_a_value_that_opentelemetry_refuses_when_it_is_imported_is_refused_alike():
    code = """if True:
        from serving.telemetry.tracing import TracingError, check_tracing
        try:
            check_tracing()
        except TracingError as error:
            print(error)
    """
    refused = {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "many"}
    run = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | refused, capture_output=True, text=True, check=True, timeout=60
    )

    assert run.stdout.startswith("OpenTelemetry refuses a value of its variables (OTEL_...): OTEL_SPAN_ATTRIBUTE_COUNT")


@pytest.mark.parametrize("exporter", ["none", "otlp"])
def test_a_check_leaves_no_thread_that_a_fork_would_lose(exporter, monkeypatch):
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", exporter)
    threads = threading.active_count()

    check_tracing()

    assert threading.active_count() == threads
