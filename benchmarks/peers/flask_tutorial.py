"""A service as tutorials show it: Flask, a file field, a session at import time, jsonify.

gunicorn -w 2 flask_tutorial:app, with THIMBLE_PEER_MODEL naming the graph.
"""

import io
import os

import numpy as np
import onnxruntime
from flask import Flask, jsonify, request
from PIL import Image

LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(os.environ["THIMBLE_PEER_MODEL"], options, providers=["CPUExecutionProvider"])
app = Flask(__name__)


@app.route("/predict", methods=["POST"])
def predict():  # type: ignore[no-untyped-def]  # as in a tutorial
    """Classify the uploaded files."""
    images = [Image.open(io.BytesIO(file.read())).convert("RGB") for file in request.files.getlist("file")]
    pixels = np.stack([np.asarray(image.resize((32, 32))) for image in images])
    probabilities = session.run(["probabilities"], {"image": pixels})[0]
    return jsonify([{"label": LABELS[row.argmax()], "probability": float(row.max())} for row in probabilities])
