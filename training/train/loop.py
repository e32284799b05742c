"""The one loop that trains every recipe."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from training.datasets.labelled import LabelledImages
from training.networks.base import Features, Mirrored, Network
from training.networks.normalize import Normalize
from training.recipe import Recipe
from training.train.checkpoint import LOADING_ERRORS, CheckpointError, SavedRun, load_weights
from training.train.lessons import Lessons
from training.train.precision import CPU_FLOAT32
from training.train.trainer import EVALUATION_BATCH, Epoch, RunContext, Trainer


@dataclass(frozen=True)
class TrainedNetwork:
    """A trained network with its normalization, on the processor and in evaluation mode.

    served: the network as it is served, from normalized images to logits.
    """

    normalize: Normalize
    network: Network
    served: Network | Mirrored
    epochs: tuple[Epoch, ...]

    @classmethod
    def of(cls, recipe: Recipe, normalize: Normalize, network: Network, epochs: tuple[Epoch, ...]) -> "TrainedNetwork":
        """Move a network to the processor and put it in evaluation mode."""
        network = CPU_FLOAT32.to_device(network).eval()
        return cls(normalize.to(CPU_FLOAT32.device), network, recipe.to_served(network).eval(), epochs)

    def forward_features(self, pixels: Tensor) -> Features:
        """Return the served network's activations for raw pixels [n, h, w, c], batch by batch."""
        with torch.inference_mode():
            batches = [self.served.forward_features(self.normalize(each)) for each in pixels.split(EVALUATION_BATCH)]
        maps, penultimate, logits = zip(*batches, strict=True)
        means = tuple(torch.cat(layer) for layer in zip(*maps, strict=True))
        return Features(means, torch.cat(penultimate), torch.cat(logits))


def from_checkpoint(recipe: Recipe, train: LabelledImages, file: Path) -> TrainedNetwork:
    """Return the recipe's network with the weights of a state_dict that torch.save wrote. Raises CheckpointError."""
    network = recipe.network()
    load_weights(network, file)
    return TrainedNetwork.of(recipe, recipe.normalize(train.take(slice(recipe.train_images)).pixels), network, ())


def train_network(
    recipe: Recipe,
    train: LabelledImages,
    validation: LabelledImages,
    context: RunContext | None = None,
    lessons: Lessons | None = None,
) -> TrainedNetwork:
    """Train the recipe's network from its seed.

    lessons: views of the images that are trained on, and what a teacher says of them; None: the images as they are.
    Raises CheckpointError when a saved training cannot be resumed.
    """
    context = context or RunContext()
    used = train.take(slice(recipe.train_images))
    trainer = Trainer(recipe, used, context, lessons or Lessons.plain(used.pixels))
    epochs: list[Epoch] = []
    if context.saved and context.resume:
        epochs = _resume(trainer, context.saved)
    for number in range(len(epochs) + 1, recipe.epochs + 1):
        start = time.perf_counter()
        metrics = trainer.train_epoch(number)
        val_loss, val_accuracy = trainer.evaluate(validation)
        rate, seconds = trainer.optimizers.learning_rate, time.perf_counter() - start
        epochs.append(Epoch(number, metrics.loss, metrics.accuracy, val_loss, val_accuracy, rate, seconds))
        context.on_epoch(epochs[-1])
        if context.saved and context.group.is_main:
            state = {"epochs": [asdict(epoch) for epoch in epochs], "trainer": trainer.state_dict()}
            context.saved.save(state)
    return TrainedNetwork.of(recipe, trainer.normalize, trainer.network, tuple(epochs))


def _resume(trainer: Trainer, saved: SavedRun) -> list[Epoch]:
    """Load a saved training and return its epochs so far. Raises CheckpointError."""
    state = saved.load()
    try:
        trainer.load_state_dict(state["trainer"])
        return [Epoch(**epoch) for epoch in state["epochs"]]
    except LOADING_ERRORS as error:
        raise CheckpointError(f"{saved.file}: cannot be resumed ({error}); leave --resume out") from error
