"""An inference request of the Open Inference Protocol with Triton's extensions, from what anybody may have sent."""

import re
from dataclasses import dataclass

from msgspec import UNSET, Struct, UnsetType

from serving.api.uploads import Limits
from serving.api.v2.metadata import Tensor, image_of, outputs_of
from serving.api.v2.tensors import Images, InputTensor, Size, decoded, pixels, read_images
from serving.model.classifier import Classifier
from serving.errors import BadRequest

DIGITS = re.compile(r"[0-9]{1,12}")
JSON_LENGTH = "Inference-Header-Content-Length"  # how much of a body is JSON; binary data follows it


class OutputParameters(Struct, frozen=True):
    """How an output is wanted."""

    binary_data: bool | UnsetType = UNSET
    classification: Size = 0  # as that many labels, the most probable first, where it isn't 0


class RequestedOutput(Struct, frozen=True):
    """An output that is asked for."""

    name: str
    parameters: OutputParameters = OutputParameters()


class RequestParameters(Struct, frozen=True):
    """How outputs are wanted that don't say otherwise."""

    binary_data_output: bool = False


class InferenceRequest(Struct, frozen=True):
    """The JSON of an inference request; parameters that mean nothing here are passed over, as Triton does."""

    inputs: list[InputTensor]
    id: str | UnsetType = UNSET
    parameters: RequestParameters = RequestParameters()
    outputs: list[RequestedOutput] = []


@dataclass(frozen=True)
class Wanted:
    """An output to be sent: as bytes or as JSON; classes: as that many labels instead, where it isn't 0."""

    name: str
    binary: bool
    classes: int = 0


@dataclass(frozen=True)
class Inference:
    """What is asked of a model."""

    images: Images
    outputs: list[Wanted]
    id: str | UnsetType = UNSET


def read_inference(content: bytes, json_length: str | None, classifier: Classifier, limits: Limits) -> Inference:
    """Read a request for this model; raises BadRequest and TooLarge.

    json_length: the header that says how much of the content is JSON, which is else all of it.
    """
    image = image_of(classifier)
    length = len(content) if json_length is None else _length(json_length, len(content))
    if json_length is not None and not length:  # the pixels of one image, as Triton takes them where there is no JSON
        outputs = [Wanted(output.name, binary=True) for output in outputs_of(classifier)]
        return Inference(pixels(content, (1, *image.shape[1:])), outputs)
    request: InferenceRequest = decoded(content[:length], InferenceRequest)
    if len(request.inputs) != 1:
        raise BadRequest(f"The request has {len(request.inputs)} inputs; the model has one: {image.name}.")
    outputs = _wanted(request, outputs_of(classifier))
    return Inference(read_images(request.inputs[0], content[length:], image, limits), outputs, request.id)


def _length(text: str, most: int) -> int:
    if not DIGITS.fullmatch(text) or int(text) > most:
        raise BadRequest(f"{JSON_LENGTH} {text[:20]!r} is no number up to {most}, the bytes of the body.")
    return int(text)


def _wanted(request: InferenceRequest, outputs: list[Tensor]) -> list[Wanted]:
    names = [output.name for output in outputs]
    asked = request.outputs or [RequestedOutput(name) for name in names]
    for output in asked:
        if output.name not in names:
            raise BadRequest(f"There is no output {output.name[:120]!r}; there are: {', '.join(names)}.")
    if len({output.name for output in asked}) < len(asked):
        raise BadRequest("An output is asked for more than once.")
    return [_one_wanted(output, request.parameters.binary_data_output) for output in asked]


def _one_wanted(output: RequestedOutput, otherwise: bool) -> Wanted:
    binary = output.parameters.binary_data
    return Wanted(output.name, otherwise if binary is UNSET else binary, output.parameters.classification)
