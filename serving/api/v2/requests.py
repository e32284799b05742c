"""Parse an inference request of the Open Inference Protocol with Triton's extensions; its sender is not trusted."""

import re
from dataclasses import dataclass

from msgspec import UNSET, Struct, UnsetType

from serving.api.intake import Intake
from serving.api.v2.metadata import Tensor, input_tensor, output_tensors
from serving.api.v2.tensors import Images, InputTensor, SharedMemory, Size, decode_json, read_images, to_pixels
from serving.errors import BadRequest
from serving.model.classifier import Classifier

DIGITS = re.compile(r"[0-9]{1,12}")
JSON_LENGTH = "Inference-Header-Content-Length"  # the bytes of the body that are JSON; binary data follows them


class OutputParameters(SharedMemory, frozen=True):
    """The form of a requested output."""

    binary_data: bool | UnsetType = UNSET
    classification: Size = 0  # as that many labels, the most probable first; 0: as numbers


class RequestedOutput(Struct, frozen=True):
    """A requested output."""

    name: str
    parameters: OutputParameters = OutputParameters()


class RequestParameters(Struct, frozen=True):
    """The default form of the outputs."""

    binary_data_output: bool = False


class InferenceRequest(Struct, frozen=True):
    """The JSON of an inference request; unknown parameters are ignored, as Triton does."""

    inputs: list[InputTensor]
    id: str | UnsetType = UNSET
    parameters: RequestParameters = RequestParameters()
    outputs: list[RequestedOutput] = []


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
    request: InferenceRequest = decode_json(content[:length], InferenceRequest)
    if len(request.inputs) != 1:
        raise BadRequest(f"The request has {len(request.inputs)} inputs; the model has one: {image.name}.")
    outputs = _output_requests(request, output_tensors(classifier))
    return Inference(read_images(request.inputs[0], content[length:], image, intake), outputs, request.id)


def _length(text: str, maximum: int) -> int:
    if not DIGITS.fullmatch(text) or int(text) > maximum:
        raise BadRequest(f"{JSON_LENGTH} {text[:20]!r} is not a number from 0 to {maximum}, the bytes of the body.")
    return int(text)


def _output_requests(request: InferenceRequest, outputs: list[Tensor]) -> list[OutputRequest]:
    names = [output.name for output in outputs]
    requested = request.outputs or [RequestedOutput(name) for name in names]
    for output in requested:
        if output.name not in names:
            raise BadRequest(f"There is no output {output.name[:120]!r}. Outputs: {', '.join(names)}.")
        output.parameters.check_unset(f"the output {output.name!r}")
    if len({output.name for output in requested}) < len(requested):
        raise BadRequest("An output is requested more than once; name each once.")
    return [_output_request(output, request.parameters.binary_data_output) for output in requested]


def _output_request(output: RequestedOutput, default: bool) -> OutputRequest:
    binary = output.parameters.binary_data
    return OutputRequest(output.name, default if binary is UNSET else binary, output.parameters.classification)
