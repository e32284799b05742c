"""Requests of all kinds around an image: the body itself, a form, JSON, V2, and bad ones."""

import base64
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from benchmarks.faults.service import Request

BOUNDARY = "thimble-faults"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
JSON = {"Content-Type": "application/json"}


def raw(image: bytes, query: str = "") -> Request:
    """Return a request whose body is the image."""
    return Request("POST", f"/classify{query}", {"Content-Type": "application/octet-stream"}, image)


def form(images: Sequence[bytes]) -> Request:
    """Return a request with a part for each image."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'.encode()
    parts = b"".join(head + image + b"\r\n" for image in images)
    return Request("POST", "/classify", FORM, parts + f"--{BOUNDARY}--\r\n".encode())


def as_json(images: Sequence[bytes]) -> Request:
    """Return a request with the images as base64 in JSON."""
    texts = [base64.b64encode(image).decode() for image in images]
    return Request("POST", "/classify", JSON, json.dumps({"images": texts}).encode())


def v2_file(image: bytes, model: str) -> Request:
    """Return a request of V2 with the image file as a tensor of BYTES."""
    text = base64.b64encode(image).decode()
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [text]}
    return Request("POST", f"/v2/models/{model}/infer", JSON, json.dumps({"id": "a", "inputs": [tensor]}).encode())


def v2_pixels(shape: Sequence[int], model: str) -> Request:
    """Return a request of V2 with black pixels of this shape as bytes."""
    headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": "0"}
    return Request("POST", f"/v2/models/{model}/infer", headers, bytes(math.prod(shape)))


UPLOADS: Mapping[str, Callable[[bytes], Request]] = {
    "raw": raw,
    "form": lambda image: form([image]),
    "json": lambda image: as_json([image]),
    "v2": lambda image: v2_file(image, "fashion-mlp"),
}


def mixture(files: Mapping[str, bytes], shapes: Mapping[str, Sequence[int]]) -> Iterator[Request]:
    """Yield a request of every kind for each image and each model.

    shapes: of the models' inputs, by name.
    """
    images = list(files.values())
    for place, image in enumerate(images):
        yield from (upload(image) for upload in UPLOADS.values())
        yield form([image, b"not an image", images[place - 1]])
        yield as_json([images[place - 1], image])
        for model in shapes:
            yield raw(image, f"?model={model}&top_k=3&coverage=0.9")
            yield v2_file(image, model)
    yield from (v2_pixels(shape, model) for model, shape in shapes.items())
    yield from _bad(images[0])


def _bad(image: bytes) -> Iterator[Request]:
    yield from (raw(data) for data in (b"", b"not an image", image[:60], b"\x89PNG\r\n\x1a\n" + bytes(50)))
    yield from (raw(image, query) for query in ("?topk=1", "?top_k=x", "?model=none", "?coverage=2"))
    yield from (Request("POST", "/classify", JSON, body) for body in (b"{", b"[]", b'{"image": 1}', b"[" * 10_000))
    yield Request("POST", "/classify", {"Content-Type": "text/plain"}, b"hello")
    yield Request("POST", "/v2/models/fashion-mlp/infer", JSON, b'{"inputs": []}')
    yield from (Request("GET", path) for path in ("/classify", "/nothing", "/v2/models/none"))
