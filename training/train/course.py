"""A training under way, from step to step, and what it is told and tells."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch._dynamo  # which the first step of an optimiser would import in the midst of training, for a second
from torch import Tensor, nn
from torch.nn import functional

from training import augment
from training.datasets.images import Images
from training.networks.normalisation import Normalise
from training.recipes import Recipe
from training.train.checkpoint import SavedRun
from training.train.optimise import Optimisation
from training.train.precision import PLAIN, Precision, fastest
from training.train.tally import Report, Tally
from training.train.together import ALONE, Group

EVALUATION_BATCH = 1_000
PART = 512  # images: a larger batch goes through the network in parts, whose activations stay in the processor's cache
LOOKED_AT = 5_000  # images from which a network may take what is fixed before training
TEACHER_TEMPERATURE, TEACHER_SHARE = 2.0, 0.9  # of distillation


@dataclass(frozen=True)
class Epoch:
    """What one epoch ended on: means over its training batches, and the held-out images."""

    number: int
    loss: float
    accuracy: float
    held_loss: float
    held_accuracy: float
    learning_rate: float
    seconds: float


@dataclass(frozen=True)
class Circumstances:
    """What a training runs in and whom it tells: it is no part of the recipe.

    report: gets images seen, loss and accuracy as it goes. ended: gets each finished epoch.
    saved: where it is saved after each epoch. resume: go on from what is saved there. check: raises KeyboardInterrupt
    where the training is to end.
    """

    device: torch.device = PLAIN.device
    report: Report = lambda *_: None
    ended: Callable[[Epoch], None] = lambda _: None
    check: Callable[[], None] = lambda: None
    saved: SavedRun | None = None
    resume: bool = False
    compiled: bool = False
    group: Group = ALONE


class Course:
    """A training under way: all that changes from step to step.

    The images live on the device as bytes: the sets are small, and a data loader would cost more.
    """

    def __init__(self, recipe: Recipe, train: Images, around: Circumstances, soft: Tensor | None) -> None:
        torch.manual_seed(recipe.seed)
        self._generator = torch.Generator().manual_seed(recipe.seed)
        self._recipe = recipe
        self._around = around
        self.normalise = recipe.normalise(train.pixels)
        network = recipe.network()
        network.look_at(self.normalise(train.pixels[:LOOKED_AT]))
        self._precision = fastest(network, around.device)
        self.network = self._precision.lay_out(network)
        self._forward = torch.compile(self.network) if around.compiled else self.network
        self.normalise.to(around.device)
        self._train = Images(train.pixels.to(around.device), train.labels.to(around.device))
        self._soft = None if soft is None else soft.to(around.device)
        self._mirrored = torch.rand(len(train), generator=self._generator) < 0.5
        batches = around.group.batches(torch.arange(len(train)), recipe.batch)
        self.optimisation = Optimisation(recipe, self.network, steps=recipe.epochs * len(batches))

    def epoch(self, number: int) -> Tally:
        """Go once through the images, in an order drawn anew."""
        group, tally = self._around.group, Tally(self._around.report, (number - 1) * len(self._train))
        self.network.train()
        order = torch.randperm(len(self._train), generator=self._generator)
        for batch in group.batches(order, self._recipe.batch):
            self.network.zero_grad()
            for part in group.share(batch).split(PART):
                self._around.check()
                logits = self._logits(part, number)
                loss = self._loss(logits, part)
                (loss / len(batch)).backward()
                tally.add(loss.detach(), logits.detach(), self._train.labels[part], group.size)
            group.add_gradients(self.network)
            self.optimisation.step()
        tally.tell()
        group.average_statistics(self.network)
        return tally

    def score(self, images: Images) -> tuple[float, float]:
        """Return mean cross-entropy and accuracy on other images."""
        logits = infer(self.network, self.normalise, images.pixels.to(self._around.device), self._precision)
        return score(logits, images.labels.to(self._around.device))

    def state(self) -> dict[str, Any]:
        """Return what another of the same recipe and images needs to go on from here."""
        return {
            "network": self.network.state_dict(),
            "optimisation": self.optimisation.state(),
            "order": self._generator.get_state(),
            "dropout": torch.get_rng_state(),
            "dropout on GPUs": torch.cuda.get_rng_state_all(),
        }

    def go_on(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.network.load_state_dict(state["network"])
        self.optimisation.go_on(state["optimisation"])
        self._generator.set_state(state["order"])
        torch.set_rng_state(state["dropout"])
        torch.cuda.set_rng_state_all(state["dropout on GPUs"])

    def _logits(self, which: Tensor, epoch: int) -> Tensor:
        """Return the logits [n, classes] of these images as they are seen in this epoch."""
        images = self.normalise(self._train.pixels[which])
        if self._recipe.flip:
            images = augment.mirror(images, (self._mirrored[which] ^ (epoch % 2 == 0)).to(images.device))
        images = self._recipe.augment(images, self._generator)
        with self._precision.autocast():
            logits: Tensor = self._forward(self._precision.prepare(images))
        return logits.float()

    def _loss(self, logits: Tensor, which: Tensor) -> Tensor:
        """Return the sum of these images' losses."""
        labels, smoothing = self._train.labels[which], self._recipe.label_smoothing
        hard = functional.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="sum")
        if self._soft is None:
            return hard
        return (1 - TEACHER_SHARE) * hard + TEACHER_SHARE * distillation(logits, self._soft[which])


def distillation(logits: Tensor, soft: Tensor) -> Tensor:
    """Return the sum of divergences from a teacher's probabilities, both softened (Hinton et al. 2015, section 2)."""
    given = functional.log_softmax(logits / TEACHER_TEMPERATURE, dim=1)
    sure = soft.clamp_min(torch.finfo(soft.dtype).tiny)  # a probability of 0 has no logarithm
    wanted = functional.log_softmax(sure.log() / TEACHER_TEMPERATURE, dim=1)
    return functional.kl_div(given, wanted, reduction="sum", log_target=True) * TEACHER_TEMPERATURE**2


def infer(network: nn.Module, normalise: Normalise, pixels: Tensor, precision: Precision) -> Tensor:
    """Return logits [n, classes] of raw pixels [n, h, w, c], batch by batch in evaluation mode."""
    network.eval()
    with torch.inference_mode(), precision.autocast():
        return torch.cat([network(precision.prepare(normalise(batch))) for batch in pixels.split(EVALUATION_BATCH)])


def score(logits: Tensor, labels: Tensor) -> tuple[float, float]:
    """Return mean cross-entropy and accuracy of logits [n, classes] against labels [n]."""
    loss = functional.cross_entropy(logits.float(), labels)
    return float(loss), float((logits.argmax(1) == labels).float().mean())
