"""The trainer: the state of a training from step to step, and the context in which it runs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch._dynamo  # otherwise the first step of an optimizer imports it in mid-training, which takes a second
from torch import Tensor, nn
from torch.nn import functional

from training.augment import flip_lr
from training.datasets.labelled import LabelledImages
from training.datasets.pixels import as_many
from training.networks.normalize import Normalize
from training.recipe import Recipe
from training.task import SINGLE, Task
from training.train.checkpoint import SavedRun
from training.train.distributed import SINGLE_PROCESS, ProcessGroup
from training.train.flips import TRIED_AT, labels_allow_flips
from training.train.mixup import Mixup
from training.train.optimizers import Optimizers
from training.train.precision import CPU_FLOAT32, Precision, fastest, micro_batch
from training.train.running_metrics import RunningMetrics
from training.train.schedule import Schedule
from training.train.training_views import TrainingViews

EVALUATION_BATCH = 1_000  # small images
INIT_IMAGES = 5_000  # small training images from which a network may compute fixed weights
TEACHER_TEMPERATURE = 2.0  # of distillation


@dataclass(frozen=True)
class Epoch:
    """The metrics of one epoch: means over its training batches, and those on the validation images after it."""

    number: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    learning_rate: float
    seconds: float


@dataclass(frozen=True)
class RunContext:
    """The device, the callbacks and the files of a training run; none of it belongs to the recipe.

    report: gets images seen, loss, accuracy and the seconds left during an epoch. on_epoch: gets each finished epoch.
    check: raises KeyboardInterrupt if the training is to end. saved: the file to save to after each epoch. resume:
    start from that file. micro_batch: images that go through the network at once; None: as many as are fastest.
    """

    device: torch.device = CPU_FLOAT32.device
    report: Callable[[int, float, float, float], None] = lambda *_: None
    on_epoch: Callable[[Epoch], None] = lambda _: None
    check: Callable[[], None] = lambda: None
    saved: SavedRun | None = None
    resume: bool = False
    compiled: bool = False
    group: ProcessGroup = SINGLE_PROCESS
    micro_batch: int | None = None


class Trainer:
    """A training under way: all that changes from step to step.

    The images live on the device as bytes: the sets are small, and a data loader would cost more.
    """

    def __init__(self, recipe: Recipe, train: LabelledImages, context: RunContext, views: TrainingViews) -> None:
        torch.manual_seed(recipe.seed)
        # On a GPU the random numbers are drawn there: no step waits for the host.
        draws_on = context.device if context.device.type == "cuda" else CPU_FLOAT32.device
        self._generator = torch.Generator(draws_on).manual_seed(recipe.seed)
        self._recipe = recipe
        self._context = context
        self.normalize = recipe.normalize(train.pixels)
        network = recipe.network()
        network.init_from_data(self.normalize(train.pixels[: as_many(INIT_IMAGES, train.pixels)]))
        self._precision = fastest(network, context.device)
        self._micro_batch = context.micro_batch or micro_batch(network, context.device)
        self.network = self._precision.to_device(network)
        self._forward = torch.compile(self.network) if context.compiled else self.network
        self.normalize.to(context.device)
        self._labels = train.labels.to(context.device)
        self._shares = label_shares(self._labels, len(recipe.source.labels)) if recipe.balanced else None
        self._views = views.to(context.device)
        self.flips = None if recipe.flip == "tried" else recipe.flip  # None: that has yet to be tried
        self._flipped_first = torch.rand(len(train), generator=self._generator, device=draws_on) < 0.5
        batches = context.group.batches(torch.arange(len(train)), recipe.batch)
        self.schedule = Schedule(recipe, len(batches))
        self.optimizers = Optimizers(recipe, self.network, self.schedule)

    def train_epoch(self, number: int) -> RunningMetrics:
        """Train once on each image, in a new random order."""
        group, alpha = self._context.group, self._recipe.mixup
        metrics = RunningMetrics(self._report, (number - 1) * len(self._labels))
        self.network.train()
        order = torch.randperm(len(self._labels), generator=self._generator, device=self._generator.device)
        for batch in group.batches(order, self._recipe.batch):
            self.network.set_progress(self.schedule.progress)
            self.network.zero_grad()
            shard = group.shard(batch)
            for indices in shard.split(self._micro_batch or len(shard)):
                self._context.check()
                mixup = Mixup.draw(len(indices), alpha, self._generator) if alpha else None
                logits = self._logits(indices, number, mixup)
                loss = self._loss(logits, indices, number)
                if mixup:
                    loss = mixup.of(loss, self._loss(logits, indices[mixup.partners], number))
                (loss / len(batch)).backward()
                metrics.add(loss.detach(), self._recipe.task.hits(logits.detach(), self._labels[indices]), group.size)
            group.all_reduce_gradients(self.network)
            self.optimizers.step()
            if self.schedule.is_over:  # a budget ends in mid-epoch
                self.network.set_progress(1)
                break
        metrics.report()
        group.average_statistics(self.network)
        return metrics

    @property
    def augmentations(self) -> tuple[str, ...]:
        """The names of the augmentations so far."""
        alpha = self._recipe.mixup
        return (
            *self._recipe.augmentation_names,
            *([flip_lr.__name__] if self.flips else []),
            *([f"mixup(alpha={alpha})"] if alpha else []),
        )

    def evaluate(self, images: LabelledImages) -> tuple[float, float]:
        """Return mean loss and accuracy on other images."""
        logits = infer(self.network, self.normalize, images.pixels.to(self._context.device), self._precision)
        return loss_and_accuracy(logits, images.labels.to(self._context.device), self._recipe.task)

    def try_flips(self, validation: LabelledImages) -> bool:
        """Flip images from now on if the validation images allow it, and return whether so: once, where it is due."""
        if self.flips is not None or self.schedule.progress < TRIED_AT:
            return False
        pixels = validation.pixels.to(self._context.device)
        plain, mirrored = (infer(self.network, self.normalize, x, self._precision) for x in (pixels, pixels.flip(2)))
        self.flips = labels_allow_flips(plain, mirrored, validation.labels.to(self._context.device))
        return self.flips

    def state_dict(self) -> dict[str, Any]:
        """Return the state that a trainer of the same recipe and images needs to resume."""
        return {
            "network": self.network.state_dict(),
            "optimizers": self.optimizers.state_dict(),
            "flips": self.flips,
            "order": self._generator.get_state(),
            "dropout": torch.get_rng_state(),
            "dropout on GPUs": torch.cuda.get_rng_state_all(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume from a state."""
        self.network.load_state_dict(state["network"])
        self.optimizers.load_state_dict(state["optimizers"])
        self.flips = state.get("flips", self.flips)
        self._generator.set_state(state["order"])
        torch.set_rng_state(state["dropout"])
        torch.cuda.set_rng_state_all(state["dropout on GPUs"][: torch.cuda.device_count()])  # fewer may be visible now

    def _report(self, images: int, loss: float, accuracy: float) -> None:
        self._context.report(images, loss, accuracy, self.schedule.seconds_left)

    def _logits(self, indices: Tensor, epoch: int, mixup: Mixup | None) -> Tensor:
        """Return the logits [n, classes] of these images, augmented for this epoch and perhaps mixed."""
        images = self.normalize(self._views.of_epoch(epoch).pixels[indices])
        if self.flips:
            images = flip_lr(images, (self._flipped_first[indices] ^ self._views.is_flipped(epoch)).to(images.device))
        images = self._recipe.augment(images, self._generator)
        if mixup:
            images = mixup.of(images, images[mixup.partners])
        with self._precision.autocast():
            logits: Tensor = self._forward(self._precision.cast(images))
        return logits.float()

    def _loss(self, logits: Tensor, indices: Tensor, epoch: int) -> Tensor:
        """Return the sum of the losses of these images."""
        labels, smoothing = self._labels[indices], self._recipe.label_smoothing
        if self._shares is None:
            hard = self._recipe.task.loss(logits, labels, smoothing)
        else:
            hard = balanced_loss(logits, labels, self._shares, smoothing)
        soft_labels = self._views.of_epoch(epoch).soft_labels
        if soft_labels is None:
            return hard
        soft = distillation_loss(logits, soft_labels[indices])
        weight = self._recipe.teachers_weight
        return (1 - weight) * hard + weight * soft


def label_shares(labels: Tensor, classes: int) -> Tensor:
    """Return the shares [classes] that the labels [n] have; one without images counts as one image."""
    return labels.bincount(minlength=classes).clamp_min(1) / len(labels)


def balanced_loss(logits: Tensor, labels: Tensor, shares: Tensor, smoothing: float) -> Tensor:
    """Return the summed cross-entropy of the logits plus the log of the labels' shares.

    Rare labels then count as much as frequent ones (logit adjustment, Menon et al. 2021). Weights in the loss would
    lose their effect on images learned by heart. logits: [n, classes]; labels: [n]; shares: [classes].
    """
    targets = smoothing * shares + (1 - smoothing) * functional.one_hot(labels, len(shares))
    return functional.cross_entropy(logits + shares.log(), targets, reduction="sum")


def distillation_loss(logits: Tensor, soft_labels: Tensor) -> Tensor:
    """Return the sum of divergences from a teacher's probabilities, both softened (Hinton et al. 2015, section 2).

    logits, soft_labels: [n, classes].
    """
    student = functional.log_softmax(logits / TEACHER_TEMPERATURE, dim=1)
    positive = soft_labels.clamp_min(torch.finfo(soft_labels.dtype).tiny)  # a probability of 0 has no logarithm
    teacher = functional.log_softmax(positive.log() / TEACHER_TEMPERATURE, dim=1)
    return functional.kl_div(student, teacher, reduction="sum", log_target=True) * TEACHER_TEMPERATURE**2


def infer(network: nn.Module, normalize: Normalize, pixels: Tensor, precision: Precision) -> Tensor:
    """Return float32 logits [n, classes] of raw pixels [n, h, w, c], batch by batch in evaluation mode."""
    network.eval()
    with torch.inference_mode(), precision.autocast():
        parts = pixels.split(as_many(EVALUATION_BATCH, pixels))
        batches = [network(precision.cast(normalize(batch))) for batch in parts]
    return torch.cat(batches).float()


def loss_and_accuracy(logits: Tensor, labels: Tensor, task: Task = SINGLE) -> tuple[float, float]:
    """Return mean loss and accuracy of logits [n, classes] against labels."""
    return float(task.loss(logits, labels) / len(labels)), float(task.hits(logits, labels).float().mean())
