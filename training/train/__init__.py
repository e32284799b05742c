"""The one loop that trains every recipe."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from training.datasets.images import Images
from training.networks import Mirrored, Network, Observed
from training.networks.normalisation import Normalise
from training.recipes import Recipe
from training.train.checkpoint import LOADING_ERRORS, CheckpointError, SavedRun, load_weights
from training.train.course import EVALUATION_BATCH, Circumstances, Course, Epoch
from training.train.precision import PLAIN


@dataclass(frozen=True)
class Fitted:
    """A trained network, on the processor and in evaluation mode, with what it needs around it.

    answering: the network as it is to be served, from normalised images to logits.
    """

    normalise: Normalise
    network: Network
    answering: Network | Mirrored
    epochs: tuple[Epoch, ...]

    @classmethod
    def of(cls, recipe: Recipe, normalise: Normalise, network: Network, epochs: tuple[Epoch, ...]) -> "Fitted":
        """Bring what was trained to the processor."""
        network = PLAIN.lay_out(network).eval()
        return cls(normalise.to(PLAIN.device), network, recipe.answering(network).eval(), epochs)

    def observe(self, pixels: Tensor) -> Observed:
        """Return what is made of raw pixels [n, h, w, c], batch by batch."""
        with torch.inference_mode():
            parts = [self.answering.observe(self.normalise(batch)) for batch in pixels.split(EVALUATION_BATCH)]
        maps, features, logits = zip(*parts, strict=True)
        means = tuple(torch.cat(layer) for layer in zip(*maps, strict=True))
        return Observed(means, torch.cat(features), torch.cat(logits))


def from_checkpoint(recipe: Recipe, train: Images, file: Path) -> Fitted:
    """Return the recipe's network with the weights of a state_dict that torch.save wrote. Raises CheckpointError."""
    network = recipe.network()
    load_weights(network, file)
    return Fitted.of(recipe, recipe.normalise(train.take(slice(recipe.images)).pixels), network, ())


def fit(
    recipe: Recipe, train: Images, held: Images, around: Circumstances | None = None, soft: Tensor | None = None
) -> Fitted:
    """Train the recipe's network from its seed; soft: the teacher's probabilities [n, classes] for train."""
    around = around or Circumstances()
    course = Course(recipe, train.take(slice(recipe.images)), around, soft)
    epochs: list[Epoch] = []
    if around.saved and around.resume:
        epochs = _taken_up(course, around.saved)
    for number in range(len(epochs) + 1, recipe.epochs + 1):
        start = time.perf_counter()
        tally = course.epoch(number)
        held_loss, held_accuracy = course.score(held)
        rate, seconds = course.optimisation.learning_rate, time.perf_counter() - start
        epochs.append(Epoch(number, tally.loss, tally.accuracy, held_loss, held_accuracy, rate, seconds))
        around.ended(epochs[-1])
        if around.saved and around.group.leads:
            around.saved.save({"epochs": [asdict(epoch) for epoch in epochs], "course": course.state()})
    return Fitted.of(recipe, course.normalise, course.network, tuple(epochs))


def _taken_up(course: Course, saved: SavedRun) -> list[Epoch]:
    """Bring a training to where it was saved, and return its epochs so far. Raises CheckpointError."""
    state = saved.load()
    try:
        course.go_on(state["course"])
        return [Epoch(**epoch) for epoch in state["epochs"]]
    except LOADING_ERRORS as error:
        raise CheckpointError(f"{saved.file}: cannot be gone on from ({error}); leave --resume out") from error
