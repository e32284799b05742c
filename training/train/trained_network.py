"""A trained network, and the file that takes it to another machine."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from training.datasets.labelled import LabelledImages
from training.networks.base import Features, Mirrored, Network
from training.networks.normalize import Normalize
from training.recipe import Recipe
from training.train.checkpoint import LOADING_ERRORS, CheckpointError, load_weights
from training.train.precision import CPU_FLOAT32
from training.train.trainer import EVALUATION_BATCH, Epoch


@dataclass(frozen=True)
class TrainedNetwork:
    """A trained network with its normalization, on the processor and in evaluation mode.

    served: the network as it is served, from normalized images to logits. device: the name of the one that trained it.
    teachers: the networks that it learned from, each with its version, network and digest. augmentations: their names.
    """

    normalize: Normalize
    network: Network
    served: Network | Mirrored
    epochs: tuple[Epoch, ...]
    device: str = CPU_FLOAT32.device.type
    teachers: tuple[str, ...] = ()
    augmentations: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        recipe: Recipe,
        normalize: Normalize,
        network: Network,
        epochs: Sequence[Epoch],
        device: str = CPU_FLOAT32.device.type,
    ) -> "TrainedNetwork":
        """Move a network to the processor and put it in evaluation mode."""
        network = CPU_FLOAT32.to_device(network).eval()
        served = recipe.to_served(network).eval()
        return cls(normalize.to(CPU_FLOAT32.device), network, served, tuple(epochs), device)

    def forward_features(self, pixels: Tensor) -> Features:
        """Return the served network's activations for raw pixels [n, h, w, c], batch by batch."""
        with torch.inference_mode():
            batches = [self.served.forward_features(self.normalize(each)) for each in pixels.split(EVALUATION_BATCH)]
        maps, penultimate, logits = zip(*batches, strict=True)
        means = tuple(torch.cat(layer) for layer in zip(*maps, strict=True))
        return Features(means, torch.cat(penultimate), torch.cat(logits))

    def save(self, recipe: Recipe, train: LabelledImages, file: Path) -> None:
        """Write the weights, and all that its card says of the training, for from_checkpoint on any machine."""
        record: dict[str, Any] = {
            "recipe": recipe.name,
            "seed": recipe.seed,
            "data": train.sha256(),
            "device": self.device,
            "teachers": list(self.teachers),
            "augmentations": list(self.augmentations),
            "epochs": [asdict(epoch) for epoch in self.epochs],
        }
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.save({**record, "network": self.network.state_dict()}, file)


def from_checkpoint(recipe: Recipe, train: LabelledImages, file: Path) -> TrainedNetwork:
    """Return the recipe's network with the weights of a file, and with its training if it was saved with them.

    Raises CheckpointError.
    """
    network = recipe.network()
    record = load_weights(network, file)
    normalize = recipe.normalize(train.take(slice(recipe.train_images)).pixels)
    if not record:
        return TrainedNetwork.of(recipe, normalize, network, ())
    ours = {"recipe": recipe.name, "seed": recipe.seed, "data": train.sha256()}
    if others := [f"{name} {record.get(name)}, not {own}" for name, own in ours.items() if record.get(name) != own]:
        raise CheckpointError(f"{file}: of another training: {'; '.join(others)}")
    try:
        epochs = [Epoch(**epoch) for epoch in record["epochs"]]
        trained = TrainedNetwork.of(recipe, normalize, network, epochs, str(record["device"]))
        teachers, augmentations = (tuple(map(str, record.get(name, ()))) for name in ("teachers", "augmentations"))
        return replace(trained, teachers=teachers, augmentations=augmentations)
    except LOADING_ERRORS as error:
        raise CheckpointError(f"{file}: its record of the training is damaged: {error}") from error
