"""The whole graph that is exported around a trained network."""

from torch import Tensor, nn

from training.networks.base import Mirrored, Network
from training.networks.normalize import Normalize
from training.networks.novelty import NoveltyScore, Sample
from training.task import SINGLE, Task


class ExportedModel(nn.Module):
    """The graph of the contract: from raw pixels to calibrated probabilities and novelty.

    Input: uint8 [n, h, w, c]. Outputs: probabilities [n, classes] and, where there is a score, novelty [n].
    """

    def __init__(
        self,
        normalize: Normalize,
        network: Network | Mirrored,
        temperature: float,
        novelty: NoveltyScore | None = None,
        task: Task = SINGLE,
    ) -> None:
        super().__init__()
        self.normalize = normalize
        self.network = network
        self.temperature = temperature
        self.novelty = novelty
        self.task = task

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        features = self.network.forward_features(self.normalize(image))
        probabilities = self.task.activate(features.logits / self.temperature)
        return (probabilities, self.novelty(Sample(image, features))) if self.novelty else (probabilities,)
