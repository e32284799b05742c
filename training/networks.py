"""The networks, and the whole graph that is exported around one."""

from typing import Self

import torch
from torch import Tensor, nn

AT_ONCE = 500  # images: what a pass over all of them works on stays in the processor's cache


class Network(nn.Sequential):
    """Layers in a row, from normalised images [n, channels, height, width] to logits [n, classes]."""

    title: str


class MLP(Network):
    """The lecture's multilayer perceptron: 101,770 parameters for 28x28 greyscale images and 10 classes."""

    title = "mlp 784-128-10"

    def __init__(self, classes: int = 10, dropout: float = 0.0) -> None:
        """Dropout is on the input pixels, while training."""
        super().__init__(
            nn.Flatten(),  # [n, 1, 28, 28] -> [n, 784]
            *_dropout(dropout),
            nn.Linear(784, 128),
            nn.ReLU(),
            nn.Linear(128, classes),
        )
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


class Normalise(nn.Module):
    """Raw pixels to what a network takes: uint8 [n, h, w, c] -> float32 [n, c, h, w], (x/255 - mean) / spread."""

    mean: Tensor
    spread: Tensor

    def __init__(self, mean: Tensor, spread: Tensor) -> None:
        """mean, spread: [channels], of pixels between 0 and 1."""
        super().__init__()
        self.register_buffer("mean", mean.view(-1, 1, 1))
        self.register_buffer("spread", spread.view(-1, 1, 1))

    @classmethod
    def to_unit(cls, pixels: Tensor) -> Self:
        """Only divide by 255, as the lecture does."""
        channels = pixels.shape[-1]
        return cls(torch.zeros(channels), torch.ones(channels))

    @classmethod
    def to_standard(cls, pixels: Tensor) -> Self:
        """Bring the pixels [n, h, w, c] of these images to mean 0 and standard deviation 1 in each channel."""
        n = pixels[..., 0].numel()
        total = squares = torch.zeros(pixels.shape[-1], dtype=torch.float64)
        for part in pixels.split(AT_ONCE):
            values = part.flatten(0, 2).float() / 255
            total, squares = total + values.sum(0).double(), squares + values.square().sum(0).double()
        mean = total / n
        return cls(mean.float(), (squares / n - mean.square()).sqrt().float())

    def forward(self, image: Tensor) -> Tensor:
        planes = image.permute(0, 3, 1, 2).float() / 255
        return (planes - self.mean) / self.spread


class Served(nn.Module):
    """The graph of the contract: raw pixels in, calibrated probabilities [n, classes] out."""

    def __init__(self, normalise: Normalise, network: Network, temperature: float) -> None:
        super().__init__()
        self.normalise = normalise
        self.network = network
        self.temperature = temperature

    def forward(self, image: Tensor) -> Tensor:
        return torch.softmax(self.network(self.normalise(image)) / self.temperature, dim=1)


def initialise(network: nn.Module) -> None:
    """Draw weights as Keras does: Glorot's uniform distribution, biases zero (Glorot and Bengio 2010, equation 16)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _dropout(share: float) -> tuple[nn.Dropout, ...]:
    return (nn.Dropout(share),) if share else ()


def parameters(network: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
