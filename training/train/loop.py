"""The one loop that trains every recipe."""

import time
from dataclasses import asdict, replace

from training.datasets.labelled import LabelledImages
from training.progress import stage
from training.recipe import Recipe
from training.train.checkpoint import LOADING_ERRORS, CheckpointError, SavedRun
from training.train.devices import device_name
from training.train.trained_network import TrainedNetwork
from training.train.trainer import Epoch, RunContext, Trainer
from training.train.training_views import TrainingViews


def train_network(
    recipe: Recipe,
    train: LabelledImages,
    validation: LabelledImages,
    context: RunContext | None = None,
    views: TrainingViews | None = None,
) -> TrainedNetwork:
    """Train the recipe's network from its seed.

    views: of the images that are trained on, with soft labels where a teacher gave some; None: the images as they are.
    Raises CheckpointError when a saved training cannot be resumed.
    """
    context = context or RunContext()
    used = train.take(slice(recipe.train_images))
    trainer = Trainer(recipe, used, context, views or TrainingViews(used.pixels[None]))
    epochs: list[Epoch] = []
    if context.saved and context.resume:
        epochs = _resume(trainer, context.saved)
    elif recipe.minutes:
        start = time.perf_counter()
        trainer.evaluate(validation)
        trainer.schedule.reserve(time.perf_counter() - start)
    while not trainer.schedule.is_over or (recipe.minutes and not epochs):
        number, start = len(epochs) + 1, time.perf_counter()
        metrics = trainer.train_epoch(number)
        val_loss, val_accuracy = trainer.evaluate(validation)
        rate, seconds = trainer.optimizers.learning_rate, time.perf_counter() - start
        epochs.append(Epoch(number, metrics.loss, metrics.accuracy, val_loss, val_accuracy, rate, seconds))
        context.on_epoch(epochs[-1])
        if context.group.size == 1 and trainer.try_flips(validation):
            stage("Mirrored validation images are classified as well as the others: images are flipped from here on")
        if context.group.size == 1 and trainer.schedule.watch(val_loss):
            stage("The validation loss no longer falls: a short cool-down ends the training early")
        if context.saved and context.group.is_main:
            state = {"epochs": [asdict(epoch) for epoch in epochs], "trainer": trainer.state_dict()}
            context.saved.save(state)
    trainer.network.set_progress(1)  # a budget may end in an evaluation
    trained = TrainedNetwork.of(recipe, trainer.normalize, trainer.network, epochs, device_name(context.device))
    return replace(trained, augmentations=trainer.augmentations)


def _resume(trainer: Trainer, saved: SavedRun) -> list[Epoch]:
    """Load a saved training and return its epochs so far. Raises CheckpointError."""
    state = saved.load()
    try:
        trainer.load_state_dict(state["trainer"])
        return [Epoch(**epoch) for epoch in state["epochs"]]
    except LOADING_ERRORS as error:
        raise CheckpointError(f"{saved.file}: cannot be resumed ({error}); leave --resume out") from error
