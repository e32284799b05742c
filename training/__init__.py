"""Training: from a data set to a graph that says everything about itself."""

import os

# onnxruntime reports its use to its maker over the network unless told not to before it is first imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
