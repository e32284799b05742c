"""The networks: from normalised images to logits."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.networks.activations import hidden

NORM_MOMENTUM = 0.12  # of batch norm: its running means look back over about two batches of 2,000, in parts of 512
WHITENING_FLOOR = 5e-4  # added to variances, so that directions in which nothing varies are not blown up (Jordan 2024)


class Observed(NamedTuple):
    """What a network makes of images on its way to logits.

    maps: for each layer of maps, their means [n, channels] after the nonlinearity. features: what the last layer is
    given, [n, features]. logits: [n, classes].
    """

    maps: tuple[Tensor, ...]
    features: Tensor
    logits: Tensor


class Network(nn.Sequential):
    """Layers in a row, from normalised images [n, channels, height, width] to logits [n, classes]."""

    title: str

    def observe(self, images: Tensor) -> Observed:
        """Return what is made of normalised images, layer by layer."""
        maps, features, output = [], images, images
        for layer in self:
            features, output = output, layer(output)
            if isinstance(layer, nn.ReLU | nn.GELU) and output.ndim == 4:
                maps.append(functional.avg_pool2d(output, output.shape[2:]).flatten(1))
        return Observed(tuple(maps), features, output)

    def look_at(self, images: Tensor) -> None:
        """Take from normalised training images what is fixed before training; most networks take nothing."""


class MLP(Network):
    """A multilayer perceptron for 28x28 greyscale images; as it stands, the lecture's: 101,770 parameters."""

    def __init__(
        self, classes: int = 10, dropout: float = 0.0, widths: Sequence[int] = (128,), activation: str = "relu"
    ) -> None:
        """Dropout is on the input pixels, while training; activation: a name in training.networks.activations."""
        sizes = (784, *widths)
        super().__init__(
            nn.Flatten(),  # [n, 1, 28, 28] -> [n, 784]
            *_dropout(dropout),
            *(module for inputs, units in pairwise(sizes) for module in hidden(activation, inputs, units)),
            nn.Linear(sizes[-1], classes),
        )
        self.title = f"mlp {'-'.join(map(str, sizes))}-{classes}" + ("" if activation == "relu" else f" {activation}")
        initialise(self)


class CNN(Network):
    """The lecture's convolutional network: 122,570 parameters for 32x32 colour images and 10 classes."""

    title = "cnn 32-64-64 dense 64-10"

    def __init__(self, classes: int = 10, dropout: float = 0.0) -> None:
        """Dropout is on the flattened features, while training."""
        super().__init__(
            nn.Conv2d(3, 32, 3),  # [n, 3, 32, 32] -> [n, 32, 30, 30]
            nn.ReLU(),
            nn.MaxPool2d(2),  # -> [n, 32, 15, 15]
            nn.Conv2d(32, 64, 3),  # -> [n, 64, 13, 13]
            nn.ReLU(),
            nn.MaxPool2d(2),  # -> [n, 64, 6, 6]
            nn.Conv2d(64, 64, 3),  # -> [n, 64, 4, 4]
            nn.ReLU(),
            nn.Flatten(),  # -> [n, 1024]
            *_dropout(dropout),
            nn.Linear(1024, 64),
            nn.ReLU(),
            nn.Linear(64, classes),
        )
        initialise(self)


class Net(Network):
    """The strong compact network: whitened patches and three blocks of two convolutions, for images of any size.

    1.97 million parameters in colour. After the fastest known trainings on CIFAR-10 (Jordan 2024, "94% on CIFAR-10 in
    3.29 seconds"): a first layer computed from the data, batch norm without scale, kernels that begin as the identity.
    """

    title = "net 64-256-256"
    widths = (64, 256, 256)

    def __init__(self, channels: int, classes: int = 10) -> None:
        whitened = 2 * 4 * channels  # each principal direction of a 2x2 patch, and its negative
        super().__init__(
            nn.Conv2d(channels, whitened, 2),  # [n, 3, 32, 32] -> [n, 24, 31, 31]
            nn.GELU(),
            *_block(whitened, self.widths[0]),  # -> [n, 64, 15, 15]
            *_block(*self.widths[:2]),  # -> [n, 256, 7, 7]
            *_block(*self.widths[1:]),  # -> [n, 256, 3, 3]
            nn.AdaptiveMaxPool2d(1),
            nn.Flatten(),  # -> [n, 256]
            nn.Linear(self.widths[-1], classes, bias=False),
        )
        initialise(self[-1])
        self._whitening.requires_grad = False

    def look_at(self, images: Tensor) -> None:
        """Whiten 2x2 patches: project on their principal directions, each scaled to unit variance."""
        patches = functional.unfold(images, 2).transpose(1, 2).flatten(0, 1)  # [n * places, channels * 4]
        values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
        directions = (vectors / (values + WHITENING_FLOOR).sqrt()).T.reshape(-1, *self._whitening.shape[1:])
        self._whitening.data.copy_(torch.cat([directions, -directions]))

    @property
    def _whitening(self) -> Tensor:
        """The kernels of the first layer: [whitened, channels, 2, 2]."""
        return self.get_parameter("0.weight")


class BatchNorm(nn.BatchNorm2d):
    """Batch norm whose only parameter is a bias: the next layer undoes any scale."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-12, momentum=NORM_MOMENTUM)
        self.weight.requires_grad = False


class Mirrored(nn.Module):
    """A network that answers with the mean of its logits for an image and for the image's mirror image."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def observe(self, images: Tensor) -> Observed:
        """Return the means of what the network makes of either."""
        both = self.network.observe(torch.cat([images, images.flip(3)]))  # in one pass, which reads the weights once
        maps = tuple(_mean_of_halves(means) for means in both.maps)
        return Observed(maps, _mean_of_halves(both.features), _mean_of_halves(both.logits))

    def forward(self, images: Tensor) -> Tensor:
        return self.observe(images).logits


def initialise(network: nn.Module) -> None:
    """Draw weights as Keras does: Glorot's uniform distribution, biases zero (Glorot and Bengio 2010, equation 16)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _mean_of_halves(both: Tensor) -> Tensor:
    """Return the mean [n, ...] of the first and the second half of [2 * n, ...]."""
    halves: Tensor = both.unflatten(0, (2, -1))
    return halves.mean(0)


def _block(inputs: int, width: int) -> tuple[nn.Module, ...]:
    """Return two convolutions, the first pooled: [n, inputs, h, w] -> [n, width, h/2, w/2]."""
    convolutions = [nn.Conv2d(channels, width, 3, padding="same", bias=False) for channels in (inputs, width)]
    for convolution in convolutions:
        nn.init.dirac_(convolution.weight.data[: convolution.in_channels])
    first, second = convolutions
    return first, nn.MaxPool2d(2), BatchNorm(width), nn.GELU(), second, BatchNorm(width), nn.GELU()


def _dropout(share: float) -> tuple[nn.Dropout, ...]:
    return (nn.Dropout(share),) if share else ()


def parameters(network: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
