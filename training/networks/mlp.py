"""The multilayer perceptron."""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from training.networks.activations import hidden
from training.networks.base import Network, initialize


class MLP(Network):
    """A multilayer perceptron for 28x28 greyscale images; by default the lecture's, of 101,770 parameters."""

    def __init__(
        self, classes: int = 10, dropout: float = 0.0, widths: Sequence[int] = (128,), activation: str = "relu"
    ) -> None:
        """dropout: its rate on the input pixels in training. activation: a name in training.networks.activations."""
        sizes = (784, *widths)
        super().__init__(
            nn.Flatten(),  # [n, 1, 28, 28] -> [n, 784]
            *([nn.Dropout(dropout)] if dropout else []),
            *(module for inputs, units in pairwise(sizes) for module in hidden(activation, inputs, units)),
            nn.Linear(sizes[-1], classes),
        )
        self.title = f"mlp {'-'.join(map(str, sizes))}-{classes}" + ("" if activation == "relu" else f" {activation}")
        initialize(self)
