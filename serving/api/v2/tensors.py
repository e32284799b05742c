"""The one input of an inference request, from bytes that anybody may have sent: raw pixels, or image files."""

import math
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import UNSET, Meta, Raw, Struct, UnsetType
from numpy.typing import NDArray

from serving.inference.predictor import Upload
from serving.api.uploads import Limits, of_text
from serving.api.v2.metadata import PIXELS, TEXTS, Tensor
from serving.errors import BadRequest

LENGTH = 4  # bytes, little-endian, before each element of a BYTES tensor
# What msgspec raises: the last where lists lie in lists a thousand deep.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

Size = Annotated[int, Meta(ge=0, le=2**40)]
Byte = Annotated[int, Meta(ge=0, le=255)]
Images = NDArray[np.uint8] | list[Upload]


class InputParameters(Struct, frozen=True):
    """How an input is sent."""

    binary_data_size: Size | UnsetType = UNSET  # how many bytes of what follows the JSON are this tensor's


class InputTensor(Struct, frozen=True):
    """An input as it is sent: in the JSON, or as binary data that follows it."""

    name: str
    shape: list[Size]
    datatype: str
    parameters: InputParameters = InputParameters()
    data: Raw | UnsetType = UNSET  # JSON until its length is known to be right


def decoded(document: bytes | Raw, kind: Any) -> Any:
    """Read JSON; raises BadRequest that says where it is not what it must be."""
    try:
        return msgspec.json.decode(document, type=kind)
    except UNREADABLE as error:
        raise BadRequest(f"The JSON of the request cannot be taken: {error}") from error


def read_images(sent: InputTensor, binary: bytes, image: Tensor, limits: Limits) -> Images:
    """Return the pixels [batch, height, width, channels] or the files that are sent for this input of a model.

    binary: what follows the JSON. Raises BadRequest, and TooLarge for too many images.
    """
    shape = _shape(sent, image)
    if shape[0] > limits.images:
        raise limits.too_many()
    size = sent.parameters.binary_data_size
    if (0 if size is UNSET else size) != len(binary):
        raise BadRequest(
            f"{len(binary)} bytes follow the JSON, but the input's parameter 'binary_data_size' "
            f"{'is not set' if size is UNSET else f'is {size}'}."
        )
    if size is not UNSET:
        return list(_elements(binary, shape[0])) if sent.datatype == TEXTS else pixels(binary, shape)
    if sent.data is UNSET:
        raise BadRequest("The input has neither 'data' nor the parameter 'binary_data_size'; no memory is shared here.")
    return _files(sent.data, shape[0]) if sent.datatype == TEXTS else _numbers(sent.data, shape)


def pixels(content: bytes, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return bytes in this shape; raises BadRequest when they are too few or too many."""
    if len(content) != math.prod(shape):
        raise BadRequest(f"{len(content)} bytes are no tensor of shape {list(shape)}, which has {math.prod(shape)}.")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _shape(sent: InputTensor, image: Tensor) -> tuple[int, ...]:
    """Return the shape that is sent, if it and the datatype are those that the input takes."""
    if sent.name != image.name:
        raise BadRequest(f"There is no input {sent.name[:120]!r}; there is: {image.name}.")
    if sent.datatype not in (PIXELS, TEXTS):
        raise BadRequest(
            f"The input {image.name!r} is {PIXELS}, raw pixels, or {TEXTS}, image files; not {sent.datatype[:20]!r}."
        )
    count, *rest = sent.shape or [0]
    expected = [[], [1]] if sent.datatype == TEXTS else [list(image.shape[1:])]
    if not count or rest not in expected:
        raise BadRequest(
            f"The shape {sent.shape[:8]} is not that of the input {image.name!r} as {sent.datatype}: "
            f"[{', '.join(['n', *map(str, expected[0])])}], with n from 1 on."
        )
    return count, *rest


def _numbers(data: Raw, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return pixels that are written as numbers, in lists of any depth: as in Triton, their order alone counts."""
    text = bytes(data)
    numbers = text.count(b",") + 1  # before they are read, as numbers take much more memory than their text
    if numbers != math.prod(shape):
        raise BadRequest(f"'data' has {numbers} numbers; the shape {list(shape)} has {math.prod(shape)}.")
    flat = b"[" + text.translate(None, b"[]") + b"]"
    return pixels(bytes(decoded(flat, list[Byte])), shape)


def _files(data: Raw, count: int) -> list[Upload]:
    """Return image files that are written as base64 or data: URLs; one that is bad in itself is the refusal of it."""
    texts = decoded(data, list[str])
    if len(texts) != count:
        raise BadRequest(f"'data' has {len(texts)} texts; the shape has {count}.")
    return [of_text(text) for text in texts]


def _elements(binary: bytes, count: int) -> Iterator[bytes]:
    """Yield the elements of a BYTES tensor; raises BadRequest unless they are that many and fill it."""
    place = 0
    for element in range(1, count + 1):
        start = place + LENGTH
        place = start + int.from_bytes(binary[place:start], "little")
        if place > len(binary):
            raise BadRequest(f"Element {element} of {count} goes beyond the {len(binary)} bytes of the tensor.")
        yield binary[start:place]
    if place != len(binary):
        raise BadRequest(f"The tensor has {len(binary)} bytes, but its {count} elements end after {place}.")
