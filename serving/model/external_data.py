"""Find tensors whose data are in other files, which onnxruntime would read from the working directory."""

from collections.abc import Iterator
from typing import NamedTuple

from serving.model.card import ContractError

MAX_FIELDS = 500_000  # read in a second or two; a network of a thousand layers has 50,000

# The fields of ONNX's messages that lead to tensors (onnx.proto, from ONNX 1.0 on); all others are skipped.
NESTED = {
    "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
    "GraphProto": {1: "NodeProto", 5: "TensorProto", 15: "SparseTensorProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {
        5: "TensorProto", 6: "GraphProto", 10: "TensorProto", 11: "GraphProto",
        22: "SparseTensorProto", 23: "SparseTensorProto",
    },
    "SparseTensorProto": {1: "TensorProto", 2: "TensorProto"},
    "TensorProto": {},
}  # fmt: skip
EXTERNAL_DATA, DATA_LOCATION = 13, 14  # of TensorProto
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types; groups, which ONNX does not use, are refused


class Field(NamedTuple):
    """A field of a message; its value is at file[start:end]."""

    number: int
    wire_type: int
    start: int
    end: int


def check_self_contained(file: bytes) -> None:
    """Raise ContractError when an ONNX file needs another file, or is not valid protobuf."""
    for count, (message, field) in enumerate(_walk(file)):
        if count == MAX_FIELDS:
            raise ContractError(f"its graph has more than {MAX_FIELDS:,} fields; export a smaller one")
        if message == "SparseTensorProto":  # a few bytes could stand for a tensor of any size
            raise ContractError("it has a sparse tensor; store it as a dense one")
        if message == "TensorProto" and _is_external(file, field):
            raise ContractError(
                "a tensor's data are in another file; save the model as one file, without external data"
            )


def _is_external(file: bytes, field: Field) -> bool:
    if field.number == DATA_LOCATION:
        return any(byte & 0x7F for byte in file[field.start : field.end])  # 0 is this file
    return field.number == EXTERNAL_DATA


def _walk(file: bytes) -> Iterator[tuple[str, Field]]:
    """Yield the fields of all messages that may lead to tensors, with the message's name."""
    messages = [("ModelProto", 0, len(file))]
    while messages:
        message, start, end = messages.pop()
        for field in _fields(file, start, end):
            yield message, field
            nested = NESTED[message].get(field.number)
            if nested and field.wire_type == BYTES:
                messages.append((nested, field.start, field.end))


def _fields(file: bytes, at: int, end: int) -> Iterator[Field]:
    """Yield the fields of the message at file[at:end]."""
    while at < end:
        tag, at = _varint(file, at)
        start, stop = _value(file, at, tag & 7)
        if stop > end or tag >> 32:  # onnxruntime's parser would read another tag
            raise ContractError("it is not a whole ONNX file; export it again")
        yield Field(tag >> 3, tag & 7, start, stop)
        at = stop


def _value(file: bytes, at: int, wire_type: int) -> tuple[int, int]:
    """Return where the value of a field begins and ends."""
    if wire_type == VARINT:
        return at, _varint(file, at)[1]
    if wire_type == BYTES:
        length, start = _varint(file, at)
        return start, start + length
    if wire_type in (FIXED32, FIXED64):
        return at, at + (4 if wire_type == FIXED32 else 8)
    raise ContractError(f"it is not an ONNX file: it has a field of wire type {wire_type}; export it again")


def _varint(file: bytes, at: int) -> tuple[int, int]:
    """Return an integer of up to ten bytes, and where it ends."""
    value = 0
    for shift, byte in enumerate(file[at : at + 10]):
        value |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return value, at + shift + 1
    raise ContractError("it is not a whole ONNX file; export it again")
