"""onnxruntime with its own telemetry switched off; everything else imports it from here."""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read once, when onnxruntime is imported

import onnxruntime  # the variable must be set before
from onnxruntime.capi import onnxruntime_pybind11_state as _errors  # the same

__all__ = ["RUNTIME_ERRORS", "onnxruntime", "open_session"]

# onnxruntime's exceptions have no common ancestor but Exception.
RUNTIME_ERRORS: tuple[type[Exception], ...] = (
    MemoryError,
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
    return onnxruntime.InferenceSession(graph, options, ["CPUExecutionProvider"], enable_fallback=0)
