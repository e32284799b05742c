"""The pipeline from a recipe to a calibrated model, which has all that an export needs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor, nn

from serving.model.classifier import Outputs
from training.datasets.formats import DataError
from training.datasets.image_folder import OwnImages
from training.datasets.labelled import LabelledImages, TrainTest, rarest_label
from training.datasets.outliers import outliers, parts
from training.datasets.pixels import to_images, to_pixels
from training.datasets.stratified import stratified_split
from training.datasets.views import photographed
from training.evaluation.calibration import fit_temperature
from training.networks.exported import ExportedModel
from training.networks.layers import output_shape
from training.networks.novelty import NoveltyScore, Sample
from training.progress import TrainingBar, stage
from training.recipe import Recipe
from training.recipes import RECIPES
from training.report import epochs_table, summary
from training.train.checkpoint import SavedRun
from training.train.distillation import CHECKPOINTS, Teacher, find_teacher, soft_labels, trained_file
from training.train.head import fit_head
from training.train.loop import train_network
from training.train.trained_network import TrainedNetwork, from_checkpoint
from training.train.trainer import Epoch, RunContext
from training.train.training_views import TrainingViews, draw_views

NOVELTY_IMAGES = 5_000  # training images whose features the novelty score measures; more change nothing that counts
OUTLIERS = 3_000
PHOTOGRAPHED = 1_000  # training and validation images each
NEIGHBOURS = 100  # five times as many change AUROC by less than 0.01, and none are better for the small networks


class DivergedError(Exception):
    """Training diverged: the logits are NaN or infinite."""


@dataclass(frozen=True)
class CalibratedModel:
    """A trained network with its data, the temperature that calibrates it, and its novelty score.

    photos: composed of validation images, uint8 [n, h, w, c]: they set the threshold of novelty; None: those do.
    """

    recipe: Recipe
    data: TrainTest
    trained: TrainedNetwork
    temperature: float
    novelty: NoveltyScore
    photos: Tensor | None = None

    @property
    def seconds(self) -> float:
        """The seconds that its epochs took."""
        return sum(epoch.seconds for epoch in self.trained.epochs)

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
        trained, task = self.trained, self.recipe.task
        return ExportedModel(trained.normalize, trained.served, self.temperature, self.novelty, task).eval()

    def predict(self, pixels: NDArray[np.uint8]) -> Outputs:
        """Return PyTorch's own outputs for raw pixels [n, height, width, channels]."""
        with torch.inference_mode():
            probabilities, novelty = self.exported(torch.from_numpy(pixels))
        return Outputs(probabilities.numpy(), novelty.numpy())


def split(recipe: Recipe, data: TrainTest) -> tuple[LabelledImages, LabelledImages]:
    """Return the images to train on, and the validation images for choices and calibration. Raises DataError.

    Those of a published data set stay as they were in the trainings that are resumed and compared.
    """
    if data.validation:
        return data.train, data.validation
    split_off = stratified_split if isinstance(data, OwnImages) else LabelledImages.split
    images, validation = split_off(data.train, min(recipe.validation_images, len(data.train) // 10))
    if not len(validation):
        raise DataError(f"{len(data.train)} training images leave none for validation; take at least 10")
    return images, validation


def train(recipe: Recipe, data: TrainTest, context: RunContext, models: Path, console: Console) -> TrainedNetwork:
    """Train a recipe's network.

    models: the folder of its teachers, and of the saved training. console: gets the network, the epochs and the counts
    of images. Raises DataError, CheckpointError and TeacherError.
    """
    images, validation = split(recipe, data)
    used = len(images.take(slice(recipe.train_images)))
    console.print(
        f"{recipe.source.title}: {used:,} images to train on, {len(validation):,} for validation, "
        f"{len(data.test):,} to test"
    )
    _print_network(recipe, data, console)
    if recipe.frozen:
        stage(f"Fitting the last layer of {recipe.name}")
        return fit_head(recipe, images.take(slice(recipe.train_images)), validation)
    teachers = [find_teacher(teacher, models, RECIPES) for teacher in recipe.teachers]
    trained = _train(recipe, images, validation, teachers, context, models, console)
    if trained.epochs:
        console.print(epochs_table(trained.epochs))
    return replace(trained, teachers=tuple(teacher.title for teacher in teachers))


def save_trained(recipe: Recipe, data: TrainTest, trained: TrainedNetwork, models: Path) -> Path:
    """Write a trained network to the file that another recipe learns from, and that --checkpoint exports."""
    file = trained_file(models, recipe.name)
    trained.save(recipe, split(recipe, data)[0], file)
    return file


def load_trained(recipe: Recipe, data: TrainTest, file: Path, console: Console) -> TrainedNetwork:
    """Return the recipe's network from a checkpoint. console: gets the network. Raises CheckpointError, DataError."""
    _print_network(recipe, data, console)
    return from_checkpoint(recipe, split(recipe, data)[0], file)


def _print_network(recipe: Recipe, data: TrainTest, console: Console) -> None:
    height, width, channels = data.test.pixels.shape[1:]
    network, shape = recipe.network(), (channels, height, width)
    _check_shapes(recipe, network, shape)
    console.print(summary(network, network.title, shape))


def _check_shapes(recipe: Recipe, network: nn.Module, shape: tuple[int, int, int]) -> None:
    """Check that a network takes the images and has an output for each label. Raises DataError."""
    source, labels = recipe.source, (len(recipe.source.labels),)
    try:
        outputs = output_shape(network, shape)
    except RuntimeError as error:
        raise DataError(
            f"{recipe.name}: its network does not take {source.title}'s images, [channels, height, width] = "
            f"{list(shape)}: {error}"
        ) from error
    if outputs != labels:
        raise DataError(
            f"{recipe.name}: its network has an output of {list(outputs)} for an image, but {source.title} has "
            f"{labels[0]} labels; give the network as many outputs"
        )


def calibrate(recipe: Recipe, data: TrainTest, trained: TrainedNetwork) -> CalibratedModel:
    """Calibrate a trained network on the validation images. Raises DivergedError."""
    stage("Calibrating: temperature and novelty score")
    images, validation = split(recipe, data)
    known = Sample(validation.pixels, trained.forward_features(validation.pixels))
    logits = known.features.logits
    if not logits.isfinite().all():
        raise DivergedError(
            f"training {recipe.name} diverged: its logits are NaN or infinite: not published; try another seed"
        )
    temperature = fit_temperature(logits, validation.labels, recipe.task)
    photos = None
    if recipe.flagged_photos:
        generator = torch.Generator().manual_seed(0)
        photos = photographed(validation.pixels[:PHOTOGRAPHED], recipe.fit, generator)
    novelty = fit_novelty(recipe, trained, temperature, images, known, photos)
    return CalibratedModel(recipe, data, trained, temperature, novelty, photos)


def fit_novelty(
    recipe: Recipe,
    trained: TrainedNetwork,
    temperature: float,
    train: LabelledImages,
    validation: Sample,
    photos: Tensor | None = None,
) -> NoveltyScore:
    """Return the novelty score that separates synthetic outliers from validation images.

    photos: composed of validation images. Then photos of training images are measured too, and photos of outliers are
    novel: that something is a photo is not novel, what it shows may be. So are photos of parts of garments, which are
    other garments; a part of a thing is still that thing.
    """

    def sample(pixels: Tensor) -> Sample:
        return Sample(pixels, trained.forward_features(pixels))

    generator = torch.Generator().manual_seed(1)
    measured, made = train.take(slice(NOVELTY_IMAGES)), outliers(train.pixels[-OUTLIERS:], generator)
    labels = rarest_label(train.labels)[:NOVELTY_IMAGES]
    if photos is None:
        return NoveltyScore(sample(measured.pixels), labels, temperature).fit(validation, sample(made))
    some = train.take(slice(PHOTOGRAPHED))
    shown = [made[1::2]]
    if recipe.fit == "garment":
        shown.append(to_pixels(parts(to_images(train.pixels[: OUTLIERS // 2]), generator)))
    seen, *novel = (photographed(pixels, recipe.fit, generator) for pixels in (some.pixels, *shown))
    labels = torch.cat([labels, labels[:PHOTOGRAPHED]])
    known = sample(torch.cat([measured.pixels, seen]))
    score = NoveltyScore(known, labels, temperature, NEIGHBOURS, weigh_features=True)
    return score.fit(validation, sample(torch.cat([made[::2], *novel])), sample(photos), recipe.flagged_photos)


def _train(
    recipe: Recipe,
    train: LabelledImages,
    validation: LabelledImages,
    teachers: Sequence[Teacher],
    context: RunContext,
    models: Path,
    console: Console,
) -> TrainedNetwork:
    used = train.take(slice(recipe.train_images)).pixels
    folder = models / CHECKPOINTS
    pixels, kept = draw_views(recipe, used, context.device, folder), folder / f"{recipe.name}-soft-labels.pt"
    soft = soft_labels(teachers, pixels, train, context.device, kept) if teachers else None
    versions = " ".join(teacher.name for teacher in teachers)
    run = {"processes": context.group.size, "device": context.device.type, "data": train.sha256()}
    identity = recipe.values() | run | {"teachers": versions}
    saved = SavedRun(folder / f"{recipe.name}.pt", identity)
    if context.resume and not saved.file.exists():
        console.print(f"No saved training in {saved.file}: training from the start", markup=False, soft_wrap=True)
        context = replace(context, resume=False)
    stage(f"Training {recipe.name}")
    with TrainingBar(None if recipe.minutes else recipe.epochs, len(used)) as bar:

        def on_epoch(epoch: Epoch) -> None:
            context.on_epoch(epoch)
            bar.end_epoch(epoch.number, epoch.val_loss, epoch.val_accuracy)

        watched = replace(context, saved=saved, report=bar.update, on_epoch=on_epoch)
        return train_network(recipe, train, validation, watched, TrainingViews(pixels, soft))
