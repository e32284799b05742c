"""Small networks that have all that the large ones have."""

from training.networks.net import Net


class SmallNet(Net):
    """The strong compact network in everything but its size."""

    widths = (24, 32, 32)
