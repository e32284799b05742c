"""What goes into a model and what comes out, as the Open Inference Protocol and Triton's model configuration say it."""

from typing import Any

from msgspec import UNSET, Struct

from serving.model.classifier import Classifier
from serving.model.card import INPUT, NOVELTY, PROBABILITIES

PIXELS, FLOATS, TEXTS = "UINT8", "FP32", "BYTES"
PLATFORM, BACKEND = "onnxruntime_onnx", "onnxruntime"
BATCH = -1  # the dimension of any size
LABELS = "labels.txt"


class Tensor(Struct, frozen=True):
    """A tensor's name, datatype and shape."""

    name: str
    datatype: str
    shape: tuple[int, ...]


class Signature(Struct, frozen=True):
    """The metadata of a model."""

    name: str
    versions: tuple[str, ...]
    platform: str
    inputs: list[Tensor]
    outputs: list[Tensor]


def signature(classifier: Classifier, versions: tuple[str, ...]) -> Signature:
    """Return the metadata of a model that has these versions."""
    return Signature(classifier.card.name, versions, PLATFORM, [image_of(classifier)], outputs_of(classifier))


def image_of(classifier: Classifier) -> Tensor:
    """Return the one input."""
    return Tensor(INPUT, PIXELS, (BATCH, classifier.height, classifier.width, classifier.channels))


def outputs_of(classifier: Classifier) -> list[Tensor]:
    """Return the outputs; novelty has a dimension of one number, as Triton gives it with the folder's config.pbtxt."""
    outputs = [Tensor(PROBABILITIES, FLOATS, (BATCH, len(classifier.card.labels)))]
    return outputs if classifier.card.novelty is UNSET else [*outputs, Tensor(NOVELTY, FLOATS, (BATCH, 1))]


def configuration(classifier: Classifier, most_images: int, processes: int) -> dict[str, Any]:
    """Return the model configuration: what config.pbtxt says of the graph, and what this service makes of it.

    most_images: that a request may have. processes: that serve the model.
    """
    (image,), outputs = [_described(image_of(classifier))], [_described(output) for output in outputs_of(classifier)]
    image["format"] = "FORMAT_NHWC"
    outputs[0]["label_filename"] = LABELS
    for novelty in outputs[1:]:
        novelty["reshape"] = {"shape": []}  # the graph gives one number an image, without a dimension for it
    return {
        "name": classifier.card.name,
        "platform": PLATFORM,
        "backend": BACKEND,
        "version_policy": {"latest": {"num_versions": 1}},
        "max_batch_size": most_images,
        "input": [image],
        "output": outputs,
        "instance_group": [{"name": classifier.card.name, "kind": "KIND_CPU", "count": processes}],
        "default_model_filename": "model.onnx",
    }


def _described(tensor: Tensor) -> dict[str, Any]:
    return {"name": tensor.name, "data_type": f"TYPE_{tensor.datatype}", "dims": list(tensor.shape[1:])}
