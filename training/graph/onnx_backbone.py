"""A network that begins with another ONNX classifier, whose features onnxruntime computes."""

from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from serving.model.runtime import open_session
from training.graph.onnx_features import ALL_CORES, OnnxFeatures
from training.networks.base import Features, Network, initialize
from training.networks.normalize import Normalize
from training.networks.titles import WITHOUT_LAST_LAYER

PLACEHOLDER = "thimble::BackboneFeatures"  # the operator that stands for the graph until it is put in its place
# Added before values are rounded to bytes: PyTorch would round a mean of pixels that ends in one half up, onnxruntime
# down, as their rounding errors have it, and the exported file would give other probabilities.
ABOVE_TIES = 2**-10
IMAGENET = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


class OnnxBackbone(Network):
    """A frozen graph and a last layer of its own: from normalized images [n, c, h, w], which it enlarges, to logits."""

    def __init__(self, features: OnnxFeatures, classes: int) -> None:
        super().__init__(_AsInput(features), FrozenGraph(features), nn.Linear(features.count, classes))
        self.title = f"{features.name}{WITHOUT_LAST_LAYER}"
        self.licence = f"the pretrained weights (SHA-256 {features.digest}): as their owner says"
        initialize(self[-1])

    def forward_features(self, images: Tensor) -> Features:
        """Return the activations for normalized images [n, c, h, w]; the graph's maps stay inside it."""
        features = self[1](self[0](images))
        return Features((), features, self[-1](features))


class _AsInput(nn.Module):
    """Bring images to the graph's size, channels, order and type."""

    def __init__(self, features: OnnxFeatures) -> None:
        super().__init__()
        self.sides = features.height, features.width
        self.channels, self.channels_last = features.channels, features.channels_last
        self.takes_bytes = features.takes_bytes

    def forward(self, images: Tensor) -> Tensor:
        sized = functional.interpolate(images, self.sides, mode="bilinear", align_corners=False)
        alike = sized.mean(1, keepdim=True) if self.channels == 1 else sized.expand(-1, self.channels, -1, -1)
        ordered = alike.permute(0, 2, 3, 1) if self.channels_last else alike
        return (ordered + ABOVE_TIES).round().to(torch.uint8) if self.takes_bytes else ordered


class FrozenGraph(nn.Module):
    """The graph: as itself it is run by onnxruntime; to the exporter it is one operator."""

    def __init__(self, features: OnnxFeatures) -> None:
        super().__init__()
        self.features = features
        self.graph_parameters = features.parameters
        self.exported = False

    @cached_property
    def _session(self) -> Any:
        return open_session(self.features.graph.SerializeToString(), ALL_CORES)

    def __deepcopy__(self, memo: object) -> "FrozenGraph":  # a session cannot be copied, and nothing in here changes
        return self.__class__(self.features)

    def forward(self, images: Tensor) -> Tensor:
        if self.exported:
            shape = images.shape[0], self.features.count
            return torch.onnx.ops.symbolic(PLACEHOLDER, (images,), dtype=torch.float32, shape=shape, version=1)
        name = self.features.graph.graph.input[0].name
        return torch.from_numpy(self._session.run(None, {name: images.numpy(force=True)})[0])


def to_imagenet(pixels: Tensor) -> Normalize:
    """Subtract ImageNet's mean and divide by its standard deviation, as torchvision's networks want it."""
    mean, deviation = (values[: pixels.shape[-1]] for values in IMAGENET)
    return Normalize(mean.clone(), deviation.clone())


def to_symmetric(pixels: Tensor) -> Normalize:
    """Bring pixels to -1 to 1, as many of TensorFlow's networks want it."""
    channels = pixels.shape[-1]
    return Normalize(torch.full((channels,), 0.5), torch.full((channels,), 0.5))


def to_bytes(pixels: Tensor) -> Normalize:
    """Leave pixels between 0 and 255."""
    channels = pixels.shape[-1]
    return Normalize(torch.zeros(channels), torch.full((channels,), 1 / 255))
