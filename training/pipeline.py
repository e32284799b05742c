"""The pipeline from a recipe to a trained network."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from torch import nn

from training.datasets.formats import DataError
from training.datasets.image_folder import OwnImages
from training.datasets.labelled import LabelledImages, TrainTest
from training.datasets.stratified import stratified_split
from training.networks.base import count_parameters
from training.networks.layers import output_shape
from training.progress import TrainingBar, say, stage
from training.recipe import Recipe
from training.recipes import RECIPES
from training.report import epochs_table, last_layer_alone, summary
from training.train.checkpoint import SavedRun
from training.train.distillation import CHECKPOINTS, Teacher, find_teacher, soft_labels, trained_file
from training.train.fine_tuning import fine_tuned, tail_training
from training.train.head import fit_head
from training.train.loop import train_network
from training.train.trained_network import TrainedNetwork, from_checkpoint
from training.train.trainer import Epoch, RunContext
from training.train.training_views import TrainingViews, draw_views


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
    of images. Raises DataError, CheckpointError, TeacherError and ContractError.
    """
    images, validation = split(recipe, data)
    used = len(images.take(slice(recipe.train_images)))
    console.print(
        f"{recipe.source.title}: {used:,} images to train on, {len(validation):,} for validation, "
        f"{len(data.test):,} to test"
    )
    _print_network(recipe, data, console)
    teachers = [find_teacher(teacher, models, RECIPES, data.limit) for teacher in recipe.teachers]
    if recipe.epochs or not recipe.frozen:
        context = _saved(recipe, images, teachers, context, models, console)
    if recipe.frozen:
        return _fit_pretrained(recipe, images.take(slice(recipe.train_images)), validation, context, console)
    trained = _train(recipe, images, validation, teachers, context, models)
    if trained.epochs:
        console.print(epochs_table(trained.epochs))
    return replace(trained, teachers=tuple(teacher.title for teacher in teachers))


def save_trained(recipe: Recipe, data: TrainTest, trained: TrainedNetwork, models: Path) -> Path:
    """Write a trained network to the file that another recipe learns from, and that --checkpoint exports."""
    file = trained_file(models, recipe.name)
    trained.save(recipe, split(recipe, data)[0], file, data.limit)
    return file


def load_trained(recipe: Recipe, data: TrainTest, file: Path, console: Console) -> TrainedNetwork:
    """Return the recipe's network from a checkpoint. console: gets the network. Raises CheckpointError, DataError."""
    _print_network(recipe, data, console)
    return from_checkpoint(recipe, split(recipe, data)[0], file)


def _print_network(recipe: Recipe, data: TrainTest, console: Console) -> None:
    height, width, channels = data.test.pixels.shape[1:]
    network, shape = recipe.network(), (channels, height, width)
    _check_shapes(recipe, network, shape)
    if recipe.frozen:  # its 130 layers would hide what was said of the images
        say(console, f"{network.title}: {count_parameters(network):,} parameters")
    else:
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


def _saved(
    recipe: Recipe,
    train: LabelledImages,
    teachers: Sequence[Teacher],
    context: RunContext,
    models: Path,
    console: Console,
) -> RunContext:
    """Return the context of a training that is saved among the models after each epoch.

    One that is resumed is looked at before anything is computed for it. Raises CheckpointError where it is another.
    """
    run = {"processes": context.group.size, "device": context.device.type, "data": train.sha256()}
    identity = recipe.values() | run | {"teachers": " ".join(teacher.name for teacher in teachers)}
    saved = SavedRun(models / CHECKPOINTS / f"{recipe.name}.pt", identity)
    resume = context.resume and saved.file.exists()
    if resume:
        saved.load()
    elif context.resume:
        say(console, f"No saved training in {saved.file}: training from the start")
    return replace(context, saved=saved, resume=resume)


def _fit_pretrained(
    recipe: Recipe, train: LabelledImages, validation: LabelledImages, context: RunContext, console: Console
) -> TrainedNetwork:
    stage(f"Fitting the last layer of {recipe.name}")
    fitted = fit_head(recipe, train, validation)
    if not recipe.epochs:
        return fitted
    tail = tail_training(recipe, fitted, train, validation)
    with _followed(recipe, train, context) as followed:
        learned = train_network(tail.recipe, tail.train, tail.validation, followed, tail.views)
    console.print(epochs_table(learned.epochs))
    console.print(last_layer_alone(fitted.epochs[-1], learned.epochs[-1]))
    return fine_tuned(fitted, learned)


def _train(
    recipe: Recipe,
    train: LabelledImages,
    validation: LabelledImages,
    teachers: Sequence[Teacher],
    context: RunContext,
    models: Path,
) -> TrainedNetwork:
    used = train.take(slice(recipe.train_images)).pixels
    folder = models / CHECKPOINTS
    pixels, kept = draw_views(recipe, used, context.device, folder), folder / f"{recipe.name}-soft-labels.pt"
    soft = soft_labels(teachers, pixels, train, context.device, kept) if teachers else None
    with _followed(recipe, train, context) as followed:
        return train_network(recipe, train, validation, followed, TrainingViews(pixels, soft))


@contextmanager
def _followed(recipe: Recipe, train: LabelledImages, context: RunContext) -> Iterator[RunContext]:
    """Yield the context of a training whose progress is shown."""
    stage(f"Training {recipe.name}")
    images = len(train.take(slice(recipe.train_images)))
    with TrainingBar(None if recipe.minutes else recipe.epochs, images) as bar:

        def on_epoch(epoch: Epoch) -> None:
            context.on_epoch(epoch)
            bar.end_epoch(epoch.number, epoch.val_loss, epoch.val_accuracy)

        yield replace(context, report=bar.update, on_epoch=on_epoch)
