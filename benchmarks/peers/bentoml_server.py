"""A service in BentoML, as its documentation teaches: a service class with an api that takes a PIL image."""

import os

import bentoml
import numpy as np
import onnxruntime
from PIL.Image import Image

LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@bentoml.service(workers=2)
class Classifier:
    """The service; it has one session a worker."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        file = os.environ["THIMBLE_PEER_MODEL"]
        self.session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])

    @bentoml.api
    def predict(self, file: Image) -> dict[str, object]:
        """Classify an image."""
        pixels = np.asarray(file.convert("RGB").resize((32, 32)))[None]
        row = self.session.run(["probabilities"], {"image": pixels})[0][0]
        return {"label": LABELS[row.argmax()], "probability": float(row.max())}
