"""A service in LitServe, as its documentation teaches: decode_request, predict, encode_response."""

import io
import os
import sys

import litserve
import numpy as np
import onnxruntime
from PIL import Image

LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


class Classifier(litserve.LitAPI):  # type: ignore[misc]
    """The service; it has one session a worker."""

    def setup(self, device: str) -> None:
        """Load the graph."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        file = os.environ["THIMBLE_PEER_MODEL"]
        self.session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])

    def decode_request(self, request):  # type: ignore[no-untyped-def]  # LitServe reads the annotation
        """Read the upload."""
        image = Image.open(io.BytesIO(request["file"].file.read())).convert("RGB")
        return np.asarray(image.resize((32, 32)))[None]

    def predict(self, pixels: np.ndarray) -> np.ndarray:
        """Run the graph."""
        return self.session.run(["probabilities"], {"image": pixels})[0][0]

    def encode_response(self, row: np.ndarray) -> dict[str, object]:
        """Return the answer."""
        return {"label": LABELS[row.argmax()], "probability": float(row.max())}


if __name__ == "__main__":
    server = litserve.LitServer(Classifier(), accelerator="cpu", workers_per_device=2)
    server.run(port=int(sys.argv[1]), log_level="error", generate_client_file=False)
