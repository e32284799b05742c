"""The lecture's convolutional network."""

from torch import nn

from training.networks.base import Network, initialize


class CNN(Network):
    """The lecture's convolutional network: 122,570 parameters for 32x32 colour images and 10 classes."""

    title = "cnn 32-64-64 dense 64-10"

    def __init__(self, classes: int = 10) -> None:
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
            nn.Linear(1024, 64),
            nn.ReLU(),
            nn.Linear(64, classes),
        )
        initialize(self)
