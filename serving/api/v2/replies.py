"""The answer to an inference request: tensors as JSON or as bytes, numbers or labels."""

from collections.abc import Callable, Sequence

import msgspec
import numpy as np
from msgspec import UNSET, Struct, UnsetType
from numpy.typing import NDArray

from serving.api.replies import Reply
from serving.api.v2.requests import JSON_LENGTH, Inference, Wanted
from serving.api.v2.metadata import FLOATS, TEXTS
from serving.api.v2.tensors import LENGTH
from serving.model.classifier import Classifier, Outputs
from serving.model.card import PROBABILITIES

OCTETS = "application/octet-stream"

Values = NDArray[np.float32]


class OutputTensor(Struct, frozen=True):
    """An output as it is sent: in the JSON, or as binary data that follows it."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    parameters: dict[str, int] | UnsetType = UNSET
    data: Sequence[float | str] | UnsetType = UNSET


class InferenceReply(Struct, frozen=True):
    """The JSON of an answer to an inference request."""

    model_name: str
    model_version: str
    outputs: list[OutputTensor]
    id: str | UnsetType = UNSET


def write_inference(inference: Inference, classifier: Classifier, outputs: Outputs) -> Reply:
    """Return the answer with the outputs that are wanted, as they are wanted."""
    card = classifier.card
    values = {name: output.reshape(len(output), -1) for name, output in outputs._asdict().items() if output is not None}
    written = [_written(wanted, values[wanted.name], card.labels) for wanted in inference.outputs]
    reply = InferenceReply(card.name, card.version, [tensor for tensor, _ in written], inference.id)
    document = msgspec.json.encode(reply)
    if not any(wanted.binary for wanted in inference.outputs):
        return Reply(document)
    body = b"".join([document, *(binary for _, binary in written)])
    return Reply(body, OCTETS, headers={JSON_LENGTH: str(len(document))})


def _written(wanted: Wanted, values: Values, labels: list[str]) -> tuple[OutputTensor, bytes]:
    """Return an output's part of the JSON, and its bytes that follow the JSON."""
    if not wanted.classes:
        return _sent(wanted, FLOATS, values.shape, values.ravel().tolist(), values.tobytes)
    texts = _classified(values, wanted.classes, labels if wanted.name == PROBABILITIES else [])
    shape = len(values), len(texts) // len(values)
    return _sent(wanted, TEXTS, shape, texts, lambda: b"".join(map(_element, texts)))


def _sent(
    wanted: Wanted, datatype: str, shape: tuple[int, ...], data: list[float] | list[str], as_bytes: Callable[[], bytes]
) -> tuple[OutputTensor, bytes]:
    if not wanted.binary:
        return OutputTensor(wanted.name, datatype, shape, data=data), b""
    binary = as_bytes()
    return OutputTensor(wanted.name, datatype, shape, {"binary_data_size": len(binary)}), binary


def _classified(values: Values, classes: int, labels: list[str]) -> list[str]:
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
    return len(content).to_bytes(LENGTH, "little") + content
