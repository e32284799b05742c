"""onnxruntime with its own telemetry switched off; everything else imports it from here."""

import os

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read once, when onnxruntime is imported

import onnxruntime  # the variable must be set before
from onnxruntime.capi import onnxruntime_pybind11_state as _errors  # the same

__all__ = ["RUNTIME_ERRORS", "onnxruntime", "open_session"]

MAX_CONSTANT_BYTES = 64 << 20  # computed while loading: a few bytes could ask for a constant of any size

# onnxruntime's exceptions have no common ancestor but Exception.
RUNTIME_ERRORS: tuple[type[Exception], ...] = (
    MemoryError,
    *(kind for kind in vars(_errors).values() if isinstance(kind, type) and issubclass(kind, Exception)),
)


def open_session(graph: bytes, threads: int = 1) -> onnxruntime.InferenceSession:
    """Return a session on the processor that runs a serialized graph with this many threads; raises RUNTIME_ERRORS.

    It may take any time: serving.model.trial is what ends it.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4  # fatal: everything else comes as an exception
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.load_model_format", "ONNX")  # not its own, which is not checked
    options.add_session_config_entry("optimization.constant_folding_max_output_size_in_bytes", str(MAX_CONSTANT_BYTES))
    return onnxruntime.InferenceSession(graph, options, ["CPUExecutionProvider"], enable_fallback=0)
