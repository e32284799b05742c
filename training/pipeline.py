"""The pipeline from a recipe to a calibrated model, which has all that an export needs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from serving.model.classifier import Outputs
from training.datasets.formats import DataError
from training.datasets.labelled import LabelledImages, TrainTest
from training.datasets.outliers import outliers
from training.datasets.views import photographed
from training.evaluation.calibration import fit_temperature
from training.networks.exported import ExportedModel
from training.networks.novelty import NoveltyScore, Sample
from training.progress import TrainingBar, stage
from training.recipe import Recipe
from training.report import epochs_table, summary
from training.train.checkpoint import SavedRun
from training.train.distillation import find_teacher, name_and_version, taught_lessons
from training.train.lessons import Lessons
from training.train.loop import TrainedNetwork, from_checkpoint, train_network
from training.train.trainer import Epoch, RunContext

NOVELTY_IMAGES = 5_000  # training images whose features the novelty score measures; more change nothing that counts
OUTLIERS = 3_000
PHOTOGRAPHED = 1_000  # training and validation images each
NEIGHBOURS = 100  # five times as many change AUROC by less than 0.01, and none are better for the small networks
CHECKPOINTS = ".checkpoints"  # beside the models, and hidden from the service as drafts are


class DivergedError(Exception):
    """Training diverged: the logits are NaN or infinite."""


@dataclass(frozen=True)
class CalibratedModel:
    """A trained network with its data, the temperature that calibrates it, and its novelty score."""

    recipe: Recipe
    data: TrainTest
    trained: TrainedNetwork
    temperature: float
    novelty: NoveltyScore
    seconds: float
    device: torch.device
    teachers: tuple[Path, ...] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an input."""
        height, width, channels = self.data.test.pixels.shape[1:]
        return height, width, channels

    @property
    def split(self) -> tuple[LabelledImages, LabelledImages]:
        """The images it was trained on, and the validation images."""
        return split(self.recipe, self.data)

    @property
    def exported(self) -> ExportedModel:
        """The trained network inside the graph of the contract."""
        return ExportedModel(self.trained.normalize, self.trained.served, self.temperature, self.novelty).eval()

    def predict(self, pixels: NDArray[np.uint8]) -> Outputs:
        """Return PyTorch's own outputs for raw pixels [n, height, width, channels]."""
        with torch.inference_mode():
            probabilities, novelty = self.exported(torch.from_numpy(pixels))
        return Outputs(probabilities.numpy(), novelty.numpy())


def split(recipe: Recipe, data: TrainTest) -> tuple[LabelledImages, LabelledImages]:
    """Return the images to train on, and the validation images for choices and calibration."""
    return data.train.split(min(recipe.validation_images, len(data.train) // 10))


def train_and_calibrate(
    recipe: Recipe, data: TrainTest, context: RunContext, models: Path, checkpoint: Path | None, console: Console
) -> CalibratedModel:
    """Train a network, or load the weights of a checkpoint; then calibrate it on the validation images.

    models: the folder of a teacher, and of the saved training. console: gets the network, the epochs and the counts of
    images. Raises DataError, CheckpointError, TeacherError and DivergedError.
    """
    train, validation = split(recipe, data)
    if not len(validation):
        raise DataError(f"{len(data.train)} training images leave none for validation; take at least 10")
    used = len(train.take(slice(recipe.train_images)))
    console.print(
        f"{recipe.source.title}: {used:,} images to train on, {len(validation):,} for validation, "
        f"{len(data.test):,} to test"
    )
    channels_first = (data.test.pixels.shape[3], *data.test.pixels.shape[1:3])
    console.print(summary(recipe.network(), recipe.network().title, channels_first))
    teachers = () if checkpoint else tuple(find_teacher(teacher, models) for teacher in recipe.teachers)
    if checkpoint:
        trained = from_checkpoint(recipe, train, checkpoint)
    else:
        trained = _train(recipe, train, validation, teachers, context, models, console)
        if trained.epochs:
            console.print(epochs_table(trained.epochs))
    stage("Calibrating: temperature and novelty score")
    known = Sample(validation.pixels, trained.forward_features(validation.pixels))
    logits = known.features.logits
    if not logits.isfinite().all():
        raise DivergedError(
            f"training {recipe.name} diverged: its logits are NaN or infinite: not published; try another seed"
        )
    seconds = sum(epoch.seconds for epoch in trained.epochs)
    temperature = fit_temperature(logits, validation.labels)
    novelty = fit_novelty(recipe, trained, temperature, train, known)
    return CalibratedModel(recipe, data, trained, temperature, novelty, seconds, context.device, teachers)


def fit_novelty(
    recipe: Recipe, trained: TrainedNetwork, temperature: float, train: LabelledImages, validation: Sample
) -> NoveltyScore:
    """Return the novelty score that separates synthetic outliers from validation images.

    A recipe that knows photos takes photos of the validation images for known, and photos of the outliers for
    novel: that something is a photo is not novel, what it shows may be.
    """

    def sample(pixels: Tensor) -> Sample:
        return Sample(pixels, trained.forward_features(pixels))

    generator = torch.Generator().manual_seed(0)
    measured, made = train.take(slice(NOVELTY_IMAGES)), outliers(train.pixels[-OUTLIERS:], generator)
    if not recipe.knows_photos:
        return NoveltyScore(sample(measured.pixels), measured.labels, temperature).fit(validation, sample(made))
    some = train.take(slice(PHOTOGRAPHED))
    in_photos = [some.pixels, validation.pixels[:PHOTOGRAPHED], made[1::2]]
    seen, known, novel = (photographed(pixels, recipe.fit, generator) for pixels in in_photos)
    labels = torch.cat([measured.labels, some.labels])
    score = NoveltyScore(sample(torch.cat([measured.pixels, seen])), labels, temperature, NEIGHBOURS)
    return score.fit(validation, sample(torch.cat([made[::2], novel])), sample(known))


def _train(
    recipe: Recipe,
    train: LabelledImages,
    validation: LabelledImages,
    teachers: Sequence[Path],
    context: RunContext,
    models: Path,
    console: Console,
) -> TrainedNetwork:
    used = train.take(slice(recipe.train_images)).pixels
    if teachers:
        lessons = taught_lessons(recipe, used, teachers, models / CHECKPOINTS / f"{recipe.name}-lessons.pt")
    else:
        lessons = Lessons.draw(recipe, used)
    versions = " ".join(map(name_and_version, teachers))
    identity = recipe.values() | {"teachers": versions, "processes": context.group.size, "data": train.sha256()}
    saved = SavedRun(models / CHECKPOINTS / f"{recipe.name}.pt", identity)
    if context.resume and not saved.file.exists():
        console.print(f"No saved training in {saved.file}: training from the start", markup=False, soft_wrap=True)
        context = replace(context, resume=False)
    stage(f"Training {recipe.name}")
    with TrainingBar(recipe.epochs, len(used)) as bar:

        def on_epoch(epoch: Epoch) -> None:
            context.on_epoch(epoch)
            bar.end_epoch(epoch.number, epoch.val_loss, epoch.val_accuracy, epoch.seconds)

        watched = replace(context, saved=saved, report=bar.update, on_epoch=on_epoch)
        return train_network(recipe, train, validation, watched, lessons)
