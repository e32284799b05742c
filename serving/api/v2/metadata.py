"""A model's metadata and configuration in the terms of the Open Inference Protocol and of Triton."""

from typing import Any

from msgspec import UNSET, Struct

from serving.model.card import INPUT, NOVELTY, PROBABILITIES
from serving.model.classifier import Classifier
from serving.model.triton_config import PLATFORM, triton_config

UINT8, FP32, BYTES = "UINT8", "FP32", "BYTES"  # the protocol's datatypes
DYNAMIC = -1  # the size of a dynamic dimension


class Tensor(Struct, frozen=True):
    """A tensor's name, datatype and shape."""

    name: str
    datatype: str
    shape: tuple[int, ...]


class ModelMetadata(Struct, frozen=True):
    """The metadata of a model."""

    name: str
    versions: tuple[str, ...]
    platform: str
    inputs: list[Tensor]
    outputs: list[Tensor]


def model_metadata(classifier: Classifier, versions: tuple[str, ...]) -> ModelMetadata:
    """Return the metadata of a model that has these versions."""
    return ModelMetadata(
        classifier.card.name, versions, PLATFORM, [input_tensor(classifier)], output_tensors(classifier)
    )


def input_tensor(classifier: Classifier) -> Tensor:
    """Return the one input."""
    return Tensor(INPUT, UINT8, (DYNAMIC, *classifier.shape))


def output_tensors(classifier: Classifier) -> list[Tensor]:
    """Return the outputs; novelty has a dimension of size 1, as Triton gives it with the folder's config.pbtxt."""
    outputs = [Tensor(PROBABILITIES, FP32, (DYNAMIC, len(classifier.card.labels)))]
    return outputs if classifier.card.novelty is UNSET else [*outputs, Tensor(NOVELTY, FP32, (DYNAMIC, 1))]


def model_config(classifier: Classifier, max_images: int, processes: int) -> dict[str, Any]:
    """Return the model configuration: as in config.pbtxt, with this service's own limits.

    max_images: of a request. processes: that serve the model.
    """
    card = classifier.card
    config = triton_config(
        card.name, classifier.shape, len(card.labels), has_novelty=card.novelty is not UNSET, max_batch_size=max_images
    )
    return config | {"instance_group": [{"name": card.name, "kind": "KIND_CPU", "count": processes}]}
