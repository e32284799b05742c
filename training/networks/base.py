"""The base of all networks: layers in a row, from normalized images to logits."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

# Images that a network is run on at once, on a processor and where nothing is learned: of 1,000 at 224 pixels the
# feature maps of a pretrained network take 12 GB, and none take less time.
INFERENCE_BATCH = 100


class Features(NamedTuple):
    """A network's activations for images.

    maps: for each layer of feature maps, their means [n, channels] after the nonlinearity. penultimate: the input of
    the last layer, [n, features]. logits: [n, classes].
    """

    maps: tuple[Tensor, ...]
    penultimate: Tensor
    logits: Tensor


class Network(nn.Sequential):
    """Layers in a row, from normalized images [n, channels, height, width] to logits [n, classes]."""

    title: str
    licence = ""  # of weights that others learned

    def forward_features(self, images: Tensor) -> Features:
        """Return the activations for normalized images [n, channels, height, width], layer by layer."""
        maps, penultimate, output = [], images, images
        for layer in self:
            penultimate, output = output, layer(output)
            if isinstance(layer, nn.ReLU | nn.GELU) and output.ndim == 4:
                maps.append(output.mean((2, 3)))
        return Features(tuple(maps), penultimate, output)

    def init_from_data(self, images: Tensor) -> None:
        """Fix weights that are computed from normalized training images, not learned; most networks have none."""

    def set_progress(self, progress: float) -> None:
        """Note what share of its training has passed, from 0 to 1; most networks are the same all the time."""


class Mirrored(nn.Module):
    """A network whose logits are the mean of those for an image and for the image flipped left to right."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward_features(self, images: Tensor) -> Features:
        """Return the means of the activations for the images and for the flipped images."""
        both = self.network.forward_features(torch.cat([images, images.flip(3)]))  # one pass reads the weights once
        # The means that only novelty needs are taken in one tensor: a small operator costs more than its values.
        parts = *both.maps, both.penultimate
        *maps, penultimate = _mean_of_halves(torch.cat(parts, 1)).split([part.shape[1] for part in parts], 1)
        return Features(tuple(maps), penultimate, _mean_of_halves(both.logits))

    def forward(self, images: Tensor) -> Tensor:
        return self.forward_features(images).logits


def initialize(network: nn.Module) -> None:
    """Draw weights as Keras does: Glorot's uniform distribution, biases zero (Glorot and Bengio 2010, equation 16)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def count_parameters(network: nn.Module) -> int:
    """Return the number of trainable parameters, and of those in another's graph, which PyTorch does not see."""
    trainable = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    return trainable + sum(getattr(module, "graph_parameters", 0) for module in network.modules())


def _mean_of_halves(both: Tensor) -> Tensor:
    """Return the mean [n, ...] of the first and the second half of [2 * n, ...]."""
    halves: Tensor = both.unflatten(0, (2, -1))
    return halves.mean(0)
