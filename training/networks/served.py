"""The whole graph that is exported around a trained network."""

import torch
from torch import Tensor, nn

from training.networks import Mirrored, Network
from training.networks.normalisation import Normalise
from training.networks.novelty import Novelty


class Served(nn.Module):
    """The graph of the contract: raw pixels in; calibrated probabilities [n, classes] and, with it, novelty [n] out."""

    def __init__(
        self,
        normalise: Normalise,
        network: Network | Mirrored,
        temperature: float,
        novelty: Novelty | None = None,
    ) -> None:
        super().__init__()
        self.normalise = normalise
        self.network = network
        self.temperature = temperature
        self.novelty = novelty

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        observed = self.network.observe(self.normalise(image))
        probabilities = torch.softmax(observed.logits / self.temperature, dim=1)
        return (probabilities, self.novelty(observed)) if self.novelty else (probabilities,)
