"""Small networks that have all that the large ones have."""

from training.networks.net import Net


class SmallNet(Net):
    """The strong compact network in everything but its size."""

    def __init__(self, channels: int, classes: int = 10) -> None:
        super().__init__(channels, classes, widths=(24, 32, 32))
