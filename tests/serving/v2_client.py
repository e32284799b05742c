"""Requests and answers as NVIDIA's own client writes and reads them, without a socket."""

import gzip
import zlib

import numpy as np
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput, InferResult

PACK = {"gzip": gzip.compress, "deflate": zlib.compress}


def pixels_input(pixels, binary=True):
    """Return the input of a model, uint8 [batch, height, width, channels]."""
    tensor = InferInput("image", list(pixels.shape), "UINT8")
    return tensor.set_data_from_numpy(pixels, binary_data=binary)


def files_input(*files, shape=None):
    """Return the input of a model as image files."""
    tensor = InferInput("image", shape or [len(files)], "BYTES")
    return tensor.set_data_from_numpy(np.array(files, np.object_).reshape(shape or [len(files)]))


def output(name, **options):
    return InferRequestedOutput(name, **options)


def infer(client, tensor, outputs=None, model="fashion-mlp", packed=None, headers=None, **options):
    """Send a request that the client has written, and return the response."""
    body, length = InferenceServerClient.generate_request_body([tensor], outputs=outputs, **options)
    headers = {**({"Inference-Header-Content-Length": str(length)} if length else {}), **(headers or {})}
    if packed:
        body, headers["Content-Encoding"] = PACK[packed](body), packed
    return client.post(f"/v2/models/{model}/infer", data=body, headers=headers)


def result(response):
    """Return a response as the client reads it."""
    assert response.status_code == 200, response.text
    length = response.headers.get("Inference-Header-Content-Length")
    coding = response.headers.get("Content-Encoding")
    return InferResult.from_response_body(response.data, header_length=length and int(length), content_encoding=coding)
