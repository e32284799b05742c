"""A service in FastAPI, as its documentation teaches: an UploadFile, or the raw body of the request."""

import io
import os

import numpy as np
import onnxruntime
from fastapi import FastAPI, Request, UploadFile
from PIL import Image

LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(os.environ["THIMBLE_PEER_MODEL"], options, providers=["CPUExecutionProvider"])
app = FastAPI()


def classify(uploads: list[bytes]) -> list[dict[str, object]]:
    """Classify images, in one batch."""
    images = [Image.open(io.BytesIO(upload)).convert("RGB") for upload in uploads]
    pixels = np.stack([np.asarray(image.resize((32, 32))) for image in images])
    probabilities = session.run(["probabilities"], {"image": pixels})[0]
    return [{"label": LABELS[row.argmax()], "probability": float(row.max())} for row in probabilities]


@app.post("/predict")
async def predict(file: list[UploadFile]) -> list[dict[str, object]]:
    """Classify the uploaded files."""
    return classify([await one.read() for one in file])


@app.post("/raw")
async def raw(request: Request) -> list[dict[str, object]]:
    """Classify the body."""
    return classify([await request.body()])
