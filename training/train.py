"""The one loop that trains every recipe, and what it measures."""

import pickle
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
import torch._dynamo  # which the first step of an optimiser would import in the midst of training, for a second
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from training.datasets import Images
from training.muon import Muon
from training.networks import Network, Normalise
from training.precision import PLAIN, Precision, fastest
from training.recipes import Recipe

EVALUATION_BATCH = 1_000
RISING_SHARE = 0.2
REPORT_EVERY = 10  # batches between two updates of the bar: reading a loss waits for the device

DEVICES: dict[str, Callable[[], bool]] = {  # fastest first
    "cuda": torch.cuda.is_available,
    "mps": torch.backends.mps.is_available,
    "cpu": lambda: True,
}

# What torch.load and load_state_dict raise on files that are foreign, damaged or of another network.
LOADING_ERRORS = (
    OSError, EOFError, RuntimeError, TypeError, AttributeError, LookupError, ValueError, struct.error,
    pickle.UnpicklingError,
)  # fmt: skip

Report = Callable[[int, float, float], None]


@dataclass(frozen=True)
class Epoch:
    """What one epoch ended on: means over its training batches, and the held-out images."""

    number: int
    loss: float
    accuracy: float
    held_loss: float
    held_accuracy: float
    seconds: float


@dataclass(frozen=True)
class Fitted:
    """A trained network, on the processor and in evaluation mode, with what it needs around it."""

    normalise: Normalise
    network: Network
    epochs: tuple[Epoch, ...]

    def logits(self, pixels: Tensor) -> Tensor:
        """Return logits [n, classes] of raw pixels [n, h, w, c]."""
        return infer(self.network, self.normalise(pixels), PLAIN)


class DeviceError(Exception):
    """A device that was asked for and is not there."""


class CheckpointError(Exception):
    """A file that does not hold the weights of the recipe's network."""


def find_device(name: str) -> torch.device:
    """Return the device of this name; "auto" is the fastest there is. Raises DeviceError when it is not there."""
    there = [kind for kind, available in DEVICES.items() if available()]
    if name == "auto":
        return torch.device(there[0])
    if name not in there:
        raise DeviceError(f"--device {name}: PyTorch finds none on this machine; there is {', '.join(there)}")
    return torch.device(name)


def from_checkpoint(recipe: Recipe, train: Images, file: Path) -> Fitted:
    """Return the recipe's network with the weights of a state_dict that torch.save wrote. Raises CheckpointError."""
    network = recipe.network()
    try:
        network.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    except LOADING_ERRORS as error:
        raise CheckpointError(
            f"{file}: not the weights of {recipe.name}'s network as torch.save(network.state_dict(), "
            f"FILE) writes them: {error}"
        ) from error
    if not all(weights.isfinite().all() for weights in network.parameters()):
        raise CheckpointError(f"{file}: some of its weights are not finite numbers; take a checkpoint from before that")
    return Fitted(recipe.normalise(train.pixels), network.eval(), ())


def fit(recipe: Recipe, train: Images, held: Images, on: torch.device, report: Report) -> Fitted:
    """Train the recipe's network from its seed; report gets images seen, loss and accuracy as it goes."""
    train = train.take(slice(recipe.images))
    torch.manual_seed(recipe.seed)
    generator = torch.Generator().manual_seed(recipe.seed)
    normalise = recipe.normalise(train.pixels)
    network = recipe.network()
    precision = fastest(network, on)
    network = precision.lay_out(network)
    # All images live on the device, normalised once: the sets are small, and a data loader would cost more.
    images, labels = precision.place(train.pixels, normalise), train.labels.to(on)
    held_images, held_labels = precision.place(held.pixels, normalise), held.labels.to(on)
    optimisers = _optimisers(recipe, network)
    steps = recipe.epochs * -(-len(train) // recipe.batch)
    schedules = [LambdaLR(optimiser, partial(SCHEDULES[recipe.schedule], steps=steps)) for optimiser in optimisers]
    epochs = []
    for number in range(1, recipe.epochs + 1):
        start = time.perf_counter()
        tally = Tally(report, seen_before=(number - 1) * len(train))
        network.train()
        for batch in torch.randperm(len(train), generator=generator).split(recipe.batch):
            inputs = images[batch]
            for augmentation in recipe.augmentations:
                inputs = augmentation(inputs, generator).contiguous(memory_format=precision.layout)
            with precision.autocast():
                logits = network(inputs).float()
            loss = functional.cross_entropy(logits, labels[batch], label_smoothing=recipe.label_smoothing)
            network.zero_grad()
            loss.backward()
            for optimiser, schedule in zip(optimisers, schedules, strict=True):
                optimiser.step()
                schedule.step()
            tally.add(loss.detach(), logits.detach(), labels[batch])
        tally.tell()
        held_loss, held_accuracy = score(infer(network, held_images, precision), held_labels)
        seconds = time.perf_counter() - start
        epochs.append(Epoch(number, tally.loss, tally.accuracy, held_loss, held_accuracy, seconds))
    return Fitted(normalise, PLAIN.lay_out(network).eval(), tuple(epochs))


def infer(network: nn.Module, images: Tensor, precision: Precision) -> Tensor:
    """Return logits [n, classes] of normalised images, batch by batch in evaluation mode."""
    network.eval()
    with torch.inference_mode(), precision.autocast():
        return torch.cat([network(batch) for batch in images.split(EVALUATION_BATCH)])


def score(logits: Tensor, labels: Tensor) -> tuple[float, float]:
    """Return mean cross-entropy and accuracy of logits [n, classes] against labels [n]."""
    loss = functional.cross_entropy(logits.float(), labels)
    return float(loss), float((logits.argmax(1) == labels).float().mean())


class Tally:
    """Running means of loss and accuracy over an epoch, kept on the device and read only now and then."""

    def __init__(self, report: Report, seen_before: int) -> None:
        self._report = report
        self._seen_before = seen_before
        self._batches = 0
        self._images = 0
        self._loss: Tensor | float = 0.0
        self._hits: Tensor | int = 0

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Count a batch: its mean loss, logits [n, classes] and labels [n]."""
        self._batches += 1
        self._images += len(labels)
        self._loss = self._loss + loss * len(labels)
        self._hits = self._hits + (logits.argmax(1) == labels).sum()
        if self._batches % REPORT_EVERY == 0:
            self.tell()

    def tell(self) -> None:
        """Report where the training stands."""
        self._report(self._seen_before + self._images, self.loss, self.accuracy)

    @property
    def loss(self) -> float:
        return float(self._loss) / self._images

    @property
    def accuracy(self) -> float:
        return float(self._hits) / self._images


def _optimisers(recipe: Recipe, network: nn.Module) -> list[Optimizer]:
    """Return AdamW for all parameters, or Muon for the hidden matrices and kernels and AdamW for the rest."""
    matrices = [weights for weights in network.parameters() if weights.ndim > 1][:-1] if recipe.muon else []
    others = [weights for weights in network.parameters() if not any(weights is matrix for matrix in matrices)]
    # Without weight decay AdamW is Adam; epsilon is that of Keras, which the lecture used.
    adam = AdamW(others, recipe.learning_rate, weight_decay=recipe.weight_decay, eps=1e-7)
    return [Muon(matrices, recipe.muon), adam] if recipe.muon else [adam]


def one_cycle(step: int, steps: int) -> float:
    """Return the share of the learning rate at a step: up in a line for a fifth of the steps, then down to nothing."""
    rising = max(1, round(RISING_SHARE * steps))
    return min((step + 1) / rising, (steps - step) / max(1, steps - rising))


def constant(_: int, steps: int) -> float:
    """Return the same share of the learning rate at every step."""
    return 1.0


SCHEDULES = {"one-cycle": one_cycle, "constant": constant}
