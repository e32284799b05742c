"""A trained network, and the file that takes it to another machine."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from training.datasets.labelled import LabelledImages
from training.networks.base import INFERENCE_BATCH, Features, Mirrored, Network
from training.networks.normalize import Normalize
from training.progress import track
from training.recipe import Recipe
from training.train.checkpoint import LOADING_ERRORS, CheckpointError, load_weights, write_whole
from training.train.precision import CPU_FLOAT32
from training.train.trainer import Epoch


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
        parts = pixels.split(INFERENCE_BATCH)
        with torch.inference_mode():
            images = map(self.normalize, track(f"Features of {len(pixels):,} images", parts, len(parts)))
            batches = [self.served.forward_features(batch) for batch in images]
        maps, penultimate, logits = zip(*batches, strict=True)
        means = tuple(torch.cat(layer) for layer in zip(*maps, strict=True))
        return Features(means, torch.cat(penultimate), torch.cat(logits))

    def save(self, recipe: Recipe, train: LabelledImages, file: Path, limit: int | None = None) -> None:
        """Write the weights, and all that its card says of the training, for from_checkpoint on any machine.

        limit: the most images that --limit allowed. Raises CheckpointError where the file cannot be written.
        """
        record: dict[str, Any] = {
            "recipe": recipe.name,
            "seed": recipe.seed,
            "data": train.sha256(),
            "limit": limit,
            "device": self.device,
            "teachers": list(self.teachers),
            "augmentations": list(self.augmentations),
            "epochs": [asdict(epoch) for epoch in self.epochs],
            **_described(self.network),
        }
        write_whole({**record, "network": self.network.state_dict()}, file)


def from_checkpoint(recipe: Recipe, train: LabelledImages, file: Path) -> TrainedNetwork:
    """Return the recipe's network with the weights of a file, and with its training if it was saved with them.

    Raises CheckpointError.
    """
    network = recipe.network()
    ours = {"recipe": recipe.name, "seed": recipe.seed, "data": train.sha256()}

    def check(record: Mapping[str, Any]) -> None:
        if record:
            _refuse_another(file, record, ours | {k: v for k, v in _described(network).items() if k in record})

    record = load_weights(network, file, check)
    normalize = recipe.normalize(train.take(slice(recipe.train_images)).pixels)
    if not record:
        return TrainedNetwork.of(recipe, normalize, network, ())
    try:
        epochs = [Epoch(**epoch) for epoch in record["epochs"]]
        trained = TrainedNetwork.of(recipe, normalize, network, epochs, str(record["device"]))
        teachers, augmentations = (tuple(map(str, record.get(name, ()))) for name in ("teachers", "augmentations"))
        return replace(trained, teachers=teachers, augmentations=augmentations)
    except LOADING_ERRORS as error:
        raise CheckpointError(f"{file}: its record of the training is damaged: {error}") from error


def _described(network: Network) -> dict[str, str]:
    """Return what distinguishes a network from others; files of older versions lack it."""
    return {"network title": network.title, "pretrained weights": network.licence}


def _refuse_another(file: Path, record: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
    """Raise CheckpointError where a file's record of its training says another thing than ours."""
    others = [f"{name} {record.get(name)}, not {own}" for name, own in ours.items() if record.get(name) != own]
    if others:
        raise CheckpointError(
            f"{file}: of another training: {'; '.join(others)}; name the recipe, or the images with their --name and "
            "--backbone, the --fine-tune, the --side, the --limit and the --seed that it was trained with"
        )
