"""onnxruntime with its own telemetry switched off; everything else imports it from here."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Timer
from time import monotonic

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read once, when onnxruntime is imported

import onnxruntime  # the variable must be set before
from onnxruntime.capi import onnxruntime_pybind11_state as _errors  # the same

__all__ = ["RUNTIME_ERRORS", "onnxruntime", "open_session", "time_limit"]

LOAD_SECONDS = 60.0  # 100 MB of weights take about 1 s
MAX_CONSTANT_BYTES = 64 << 20  # computed while loading: a few bytes could ask for a constant of any size

# onnxruntime's exceptions have no common ancestor but Exception.
RUNTIME_ERRORS: tuple[type[Exception], ...] = (
    MemoryError,
    TimeoutError,
    *(kind for kind in vars(_errors).values() if isinstance(kind, type) and issubclass(kind, Exception)),
)


def open_session(graph: bytes, threads: int = 1) -> onnxruntime.InferenceSession:
    """Return a session on the processor that runs a serialized graph with this many threads; raises RUNTIME_ERRORS."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4  # fatal: everything else comes as an exception
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.load_model_format", "ONNX")  # not its own, which is not checked
    options.add_session_config_entry("optimization.constant_folding_max_output_size_in_bytes", str(MAX_CONSTANT_BYTES))
    with time_limit(LOAD_SECONDS, lambda: options.set_load_cancellation_flag(True)):
        return onnxruntime.InferenceSession(graph, options, ["CPUExecutionProvider"], enable_fallback=0)


@contextmanager
def time_limit(seconds: float, stop: Callable[[], object]) -> Iterator[None]:
    """Have onnxruntime stop after this time; raises TimeoutError when it did."""
    timer, deadline = Timer(seconds, stop), monotonic() + seconds
    timer.daemon = True
    timer.start()
    try:
        yield
    except RUNTIME_ERRORS as error:
        if monotonic() < deadline:
            raise
        raise TimeoutError(f"it takes more than {seconds:g} s") from error
    finally:
        timer.cancel()
