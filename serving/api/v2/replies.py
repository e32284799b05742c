"""The reply to an inference request: tensors as JSON or as bytes, numbers or labels."""

from collections.abc import Sequence

import msgspec
import numpy as np
from msgspec import UNSET, Struct, UnsetType
from numpy.typing import NDArray

from serving.api.replies import Reply
from serving.api.v2.metadata import BYTES, FP32
from serving.api.v2.requests import JSON_LENGTH, Inference, OutputRequest
from serving.api.v2.tensors import LENGTH_BYTES
from serving.model.card import PROBABILITIES
from serving.model.classifier import Classifier, Outputs

OCTET_STREAM = "application/octet-stream"

Values = NDArray[np.float32]


class OutputTensor(Struct, frozen=True):
    """An output as it is sent: in the JSON, or as binary data that follows it."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    parameters: dict[str, int] | UnsetType = UNSET
    data: Sequence[float | str] | UnsetType = UNSET


class InferenceReply(Struct, frozen=True):
    """The JSON of the reply to an inference request."""

    model_name: str
    model_version: str
    outputs: list[OutputTensor]
    id: str | UnsetType = UNSET


def write_inference(inference: Inference, classifier: Classifier, outputs: Outputs) -> Reply:
    """Return the reply with the requested outputs in the requested form."""
    card = classifier.card
    values = {name: output.reshape(len(output), -1) for name, output in outputs._asdict().items() if output is not None}
    written = [_write(request, values[request.name], card.labels) for request in inference.outputs]
    reply = InferenceReply(card.name, card.version, [tensor for tensor, _ in written], inference.id)
    document = msgspec.json.encode(reply)
    if not any(request.binary for request in inference.outputs):
        return Reply(document)
    body = b"".join([document, *(binary for _, binary in written)])
    return Reply(body, OCTET_STREAM, headers={JSON_LENGTH: str(len(document))})


def _write(request: OutputRequest, values: Values, labels: list[str]) -> tuple[OutputTensor, bytes]:
    """Return an output's part of the JSON, and the bytes of it that follow the JSON."""
    texts: list[str] | None = None
    datatype, shape = FP32, values.shape
    if request.classes:
        texts = _classification(values, request.classes, labels if request.name == PROBABILITIES else [])
        datatype, shape = BYTES, (len(values), len(texts) // len(values))
    if not request.binary:
        data = values.ravel().tolist() if texts is None else texts
        return OutputTensor(request.name, datatype, shape, data=data), b""
    binary = values.tobytes() if texts is None else b"".join(map(_element, texts))
    return OutputTensor(request.name, datatype, shape, {"binary_data_size": len(binary)}), binary


def _classification(values: Values, classes: int, labels: list[str]) -> list[str]:
    """Return the highest values of each row as VALUE:INDEX:LABEL, the highest first."""
    order = np.argsort(-values, axis=1, kind="stable")[:, :classes]
    names = [f":{label}" for label in labels] or [""] * values.shape[1]
    return [
        f"{row[index]:f}:{index}{names[index]}"
        for row, indices in zip(values.tolist(), order.tolist(), strict=True)
        for index in indices
    ]


def _element(text: str) -> bytes:
    content = text.encode()
    return len(content).to_bytes(LENGTH_BYTES, "little") + content
