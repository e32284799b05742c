"""The service: loads exported graphs with onnxruntime and classifies uploaded images over HTTP."""

import os

# onnxruntime reports its use to its maker over the network unless told not to before it is first imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
