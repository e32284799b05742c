"""Parse the one input of an inference request, raw pixels or image files; its sender is not trusted."""

import math
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import UNSET, Meta, Raw, Struct, UnsetType
from numpy.typing import NDArray

from serving.api.advice import JSON_ERRORS, advise_json
from serving.api.image_text import QUOTES_PER_IMAGE, decode_text
from serving.api.intake import Intake
from serving.api.v2.metadata import BYTES, UINT8, Tensor
from serving.errors import BadRequest
from serving.inference.predictor import Upload

LENGTH_BYTES = 4  # of the little-endian length before each element of a BYTES tensor
MAX_SHORT_BYTES = 65_536  # of JSON whose values are few: thousands of them, and no time to parse

Size = Annotated[int, Meta(ge=0, le=2**40)]
Byte = Annotated[int, Meta(ge=0, le=255)]
Images = NDArray[np.uint8] | list[Upload]


class SharedMemory(Struct, frozen=True):
    """The parameters of a tensor in shared memory, which is unsupported: they are known so as to be refused."""

    shared_memory_region: Raw | UnsetType = UNSET
    shared_memory_byte_size: Raw | UnsetType = UNSET
    shared_memory_offset: Raw | UnsetType = UNSET

    def check_unset(self, tensor: str) -> None:
        """Raise BadRequest if one of them is set for this tensor."""
        for name in SharedMemory.__struct_fields__:
            if getattr(self, name) is not UNSET:
                raise BadRequest(
                    f"The parameter {name!r} of {tensor} is unsupported: send and take tensors in the body, not in "
                    "shared memory."
                )


class InputParameters(SharedMemory, frozen=True):
    """The form of an input."""

    binary_data_size: Size | UnsetType = UNSET  # the bytes behind the JSON that are this tensor's


class InputTensor(Struct, frozen=True):
    """An input as it is sent: in the JSON, or as binary data that follows it."""

    name: str
    shape: Raw
    datatype: str
    parameters: InputParameters | None = None
    data: Raw | UnsetType = UNSET  # parsed once its length is known to be right


def decode_json(document: bytes | Raw, kind: Any, place: str = "") -> Any:
    """Decode JSON of this type; raises BadRequest with the place of the fault. place: of the document in a larger."""
    try:
        return msgspec.json.decode(document, type=kind)
    except JSON_ERRORS as error:
        reason = str(error)
        if place:  # msgspec names no place where the whole document is of another type
            reason = reason.replace("`$", f"`${place}", 1) if "`$" in reason else f"{reason} - at `${place}`"
        raise BadRequest(f"The JSON of the request is not valid: {reason}.{advise_json(bytes(document))}") from error


def decode_short(document: Raw, kind: Any, place: str) -> Any:
    """Decode a list of few values: millions of them would keep all other requests waiting. Raises BadRequest."""
    if (length := memoryview(document).nbytes) > MAX_SHORT_BYTES:
        raise BadRequest(
            f"The JSON of the request has {length:,} bytes at `${place}`; the limit is {MAX_SHORT_BYTES:,}."
        )
    return decode_json(document, kind, place)


def read_images(sent: InputTensor, binary: bytes, image: Tensor, intake: Intake) -> Images:
    """Return the pixels [batch, height, width, channels] or the files that were sent for this input of a model.

    binary: the bytes behind the JSON. Raises BadRequest, and TooLarge for too many images.
    """
    shape = _shape(sent, image)
    if shape[0] > intake.max_images:
        raise intake.too_many_images()
    parameters = sent.parameters or InputParameters()
    size = parameters.binary_data_size
    if (0 if size is UNSET else size) != len(binary):
        raise BadRequest(
            f"{len(binary)} bytes follow the JSON, but the input's parameter 'binary_data_size' "
            f"{'is not set' if size is UNSET else f'is {size}'}."
        )
    if size is not UNSET or sent.data is not UNSET:
        parameters.check_unset(f"the input {sent.name!r}")
    if size is not UNSET:
        return list(_elements(binary, shape[0])) if sent.datatype == BYTES else to_pixels(binary, shape)
    if sent.data is UNSET:
        raise BadRequest(
            "The input has neither 'data' nor the parameter 'binary_data_size'; shared memory is unsupported."
        )
    return _files(sent.data, shape[0]) if sent.datatype == BYTES else _numbers(sent.data, shape)


def to_pixels(content: bytes, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return bytes as an array of this shape; raises BadRequest when there are too few or too many."""
    if len(content) != math.prod(shape):
        raise BadRequest(f"The tensor has {len(content)} bytes; its shape {list(shape)} needs {math.prod(shape)}.")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _shape(sent: InputTensor, image: Tensor) -> tuple[int, ...]:
    """Return the shape that was sent, if it and the datatype are the input's."""
    if sent.name != image.name:
        raise BadRequest(f"There is no input {sent.name[:120]!r}. Inputs: {image.name}.")
    if sent.datatype not in (UINT8, BYTES):
        raise BadRequest(
            f"The input {image.name!r} is {UINT8}, raw pixels, or {BYTES}, image files; not {sent.datatype[:20]!r}."
        )
    shape: list[int] = decode_short(sent.shape, list[Size], ".inputs[0].shape")
    count, *rest = shape or [0]
    expected = [[], [1]] if sent.datatype == BYTES else [list(image.shape[1:])]
    if not count or rest not in expected:
        raise BadRequest(
            f"The shape {shape[:8]} is not that of the input {image.name!r} as {sent.datatype}: "
            f"[{', '.join(['n', *map(str, expected[0])])}], with n of at least 1."
        )
    return count, *rest


def _numbers(data: Raw, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return pixels written as numbers, in lists of any depth: as in Triton, only their order counts."""
    text = bytes(data)
    numbers = text.count(b",") + 1  # counted before parsing, which takes much more memory than the text
    if numbers != math.prod(shape):
        raise BadRequest(f"'data' has {numbers} numbers; the shape {list(shape)} has {math.prod(shape)}.")
    flat = b"[" + text.translate(None, b"[]") + b"]"
    return to_pixels(bytes(decode_json(flat, list[Byte], ".inputs[0].data")), shape)


def _files(data: Raw, count: int) -> list[Upload]:
    """Return image files written as base64 or data: URLs, for [n, 1] each in a list too; of a bad one, its refusal."""
    document = bytes(data)
    if max(document.count(b'"'), document.count(b"[")) > QUOTES_PER_IMAGE * count:  # before parsing, as for numbers
        raise BadRequest(f"'data' has too many texts; the shape has {count}.")
    rows = decode_json(data, list[str | list[str]], ".inputs[0].data")
    texts = [text for row in rows for text in ([row] if isinstance(row, str) else row)]
    if len(texts) != count:
        raise BadRequest(f"'data' has {len(texts)} texts; the shape has {count}.")
    return [decode_text(text) for text in texts]


def _elements(binary: bytes, count: int) -> Iterator[bytes]:
    """Yield the elements of a BYTES tensor; raises BadRequest unless exactly so many fill it."""
    place = 0
    for element in range(1, count + 1):
        start = place + LENGTH_BYTES
        place = start + int.from_bytes(binary[place:start], "little")
        if place > len(binary):
            raise BadRequest(f"Element {element} of {count} goes beyond the {len(binary)} bytes of the tensor.")
        yield binary[start:place]
    if place != len(binary):
        raise BadRequest(f"The tensor has {len(binary)} bytes, but its {count} elements end after {place}.")
