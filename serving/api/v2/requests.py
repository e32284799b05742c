"""Parse an inference request of the Open Inference Protocol with Triton's extensions; its sender is not trusted."""

import re
from dataclasses import dataclass
from typing import Annotated

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from serving.api.intake import Intake
from serving.api.v2.metadata import Tensor, input_tensor, output_tensors
from serving.api.v2.tensors import (
    Images,
    InputTensor,
    SharedMemory,
    Size,
    decode_json,
    decode_short,
    read_images,
    to_pixels,
)
from serving.errors import BadRequest
from serving.model.classifier import Classifier

DIGITS = re.compile(r"[0-9]{1,12}")
JSON_LENGTH = "Inference-Header-Content-Length"  # the bytes of the body that are JSON; binary data follows them


Id = Annotated[str, Meta(max_length=1_000)]  # sent back: a slow reader of a long one holds as much memory


class OutputParameters(SharedMemory, frozen=True):
    """The form of a requested output."""

    binary_data: bool | UnsetType = UNSET
    classification: Size = 0  # as that many labels, the most probable first; 0: as numbers


class RequestedOutput(Struct, frozen=True):
    """A requested output."""

    name: str
    parameters: OutputParameters | None = None


class RequestParameters(Struct, frozen=True):
    """The default form of the outputs."""

    binary_data_output: bool = False


class Inputs(Struct, frozen=True, array_like=True):
    """The inputs, of which a model has one: those behind the second are not even parsed."""

    first: InputTensor | UnsetType = UNSET
    second: Raw | UnsetType = UNSET


class InferenceRequest(Struct, frozen=True):
    """The JSON of an inference request; unknown parameters are ignored, as Triton does.

    inputs, outputs: parsed once they are known to be few.
    """

    inputs: Raw
    id: Id | None = None
    parameters: RequestParameters | None = None
    outputs: Raw | UnsetType = UNSET


@dataclass(frozen=True)
class OutputRequest:
    """An output to be sent, as bytes or as JSON. classes: send that many labels instead of numbers, where not 0."""

    name: str
    binary: bool
    classes: int = 0


@dataclass(frozen=True)
class Inference:
    """A parsed request: images, and outputs to send."""

    images: Images
    outputs: list[OutputRequest]
    id: str | UnsetType = UNSET


def read_inference(content: bytes, json_length: str | None, classifier: Classifier, intake: Intake) -> Inference:
    """Parse a request for this model; raises BadRequest and TooLarge.

    json_length: the header with the number of bytes that are JSON; without it, all are.
    """
    image = input_tensor(classifier)
    length = len(content) if json_length is None else _length(json_length, len(content))
    if json_length is not None and not length:  # without JSON, Triton takes the pixels of one image
        outputs = [OutputRequest(output.name, binary=True) for output in output_tensors(classifier)]
        return Inference(to_pixels(content, (1, *image.shape[1:])), outputs)
    if not content:
        raise BadRequest(f"The request has no body; send the tensor as JSON, or raw pixels with {JSON_LENGTH}: 0.")
    request: InferenceRequest = decode_json(content[:length], InferenceRequest)
    outputs = _output_requests(request, output_tensors(classifier))
    images = read_images(_one_input(request, image), content[length:], image, intake)
    return Inference(images, outputs, UNSET if request.id is None else request.id)


def _length(text: str, maximum: int) -> int:
    if not DIGITS.fullmatch(text) or int(text) > maximum:
        raise BadRequest(f"{JSON_LENGTH} {text[:20]!r} is not a number from 0 to {maximum}, the bytes of the body.")
    return int(text)


def _one_input(request: InferenceRequest, image: Tensor) -> InputTensor:
    inputs: Inputs = decode_json(request.inputs, Inputs, ".inputs")
    if inputs.first is UNSET or inputs.second is not UNSET:
        number = "no" if inputs.first is UNSET else "more than one"
        raise BadRequest(f"The request has {number} input; the model has one: {image.name}.")
    return inputs.first


def _output_requests(request: InferenceRequest, outputs: list[Tensor]) -> list[OutputRequest]:
    names = [output.name for output in outputs]
    sent: list[RequestedOutput] | None = None
    if request.outputs is not UNSET:
        sent = decode_short(request.outputs, list[RequestedOutput] | None, ".outputs")
    requested = sent or [RequestedOutput(name) for name in names]
    for output in requested:
        if output.name not in names:
            raise BadRequest(f"There is no output {output.name[:120]!r}. Outputs: {', '.join(names)}.")
        if output.parameters:
            output.parameters.check_unset(f"the output {output.name!r}")
    if len({output.name for output in requested}) < len(requested):
        raise BadRequest("An output is requested more than once; name each once.")
    default = request.parameters is not None and request.parameters.binary_data_output
    return [_output_request(output, default) for output in requested]


def _output_request(output: RequestedOutput, default: bool) -> OutputRequest:
    parameters = output.parameters or OutputParameters()
    binary = parameters.binary_data
    return OutputRequest(output.name, default if binary is UNSET else binary, parameters.classification)
