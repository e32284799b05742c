"""A recipe carried out: the network with all that must be known of it to export it."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from rich.console import Console

from training.calibrate import fit_temperature
from training.datasets.formats import DataError
from training.datasets.images import DataSet, Images
from training.datasets.outliers import outliers
from training.networks.novelty import Novelty
from training.networks.served import Served
from training.progress import TrainingBar
from training.recipes import Recipe
from training.report import epochs_table, summary
from training.train import Fitted, fit, from_checkpoint
from training.train.checkpoint import SavedRun
from training.train.course import Circumstances
from training.train.teacher import find_teacher, soft_labels

LEARNED_FROM = 10_000  # training images whose features are measured for novelty; more change nothing that counts
OUTLIERS = 5_000
CHECKPOINTS = ".checkpoints"  # beside the models, and hidden from the service as drafts are


class DivergedError(Exception):
    """A training that came to no numbers."""


@dataclass(frozen=True)
class Trained:
    """A trained network, the data it was trained on, the temperature that calibrates it, and its score of novelty."""

    recipe: Recipe
    data: DataSet
    fitted: Fitted
    temperature: float
    novelty: Novelty
    seconds: float
    device: torch.device

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an input."""
        height, width, channels = self.data.test.pixels.shape[1:]
        return height, width, channels

    @property
    def split(self) -> tuple[Images, Images]:
        """The images it was trained on, and those held out."""
        return split(self.recipe, self.data)

    @property
    def served(self) -> Served:
        """The trained network inside the graph of the contract."""
        return Served(self.fitted.normalise, self.fitted.answering, self.temperature, self.novelty).eval()


def split(recipe: Recipe, data: DataSet) -> tuple[Images, Images]:
    """Return the images to train on, and those to hold out for choices and calibration."""
    return data.train.split(min(recipe.held, len(data.train) // 10))


def carry_out(
    recipe: Recipe, data: DataSet, around: Circumstances, models: Path, checkpoint: Path | None, console: Console
) -> Trained:
    """Train, or take the weights of a checkpoint; then calibrate on the held-out images, telling it all to a person."""
    seen, held = split(recipe, data)
    if not len(held):
        raise DataError(f"{len(data.train)} images are too few to hold some out for calibration; take at least 10")
    taken = len(seen.take(slice(recipe.images)))
    console.print(
        f"{recipe.source.title}: {taken:,} images to train on, {len(held):,} held out, {len(data.test):,} to test"
    )
    channels_first = (data.test.pixels.shape[3], *data.test.pixels.shape[1:3])
    console.print(summary(recipe.network(), recipe.network().title, channels_first))
    if checkpoint:
        fitted = from_checkpoint(recipe, seen, checkpoint)
    else:
        fitted = _train(recipe, seen, held, around, models, console)
        console.print(epochs_table(fitted.epochs))
    logits = fitted.observe(held.pixels).logits
    if not logits.isfinite().all():
        raise DivergedError(
            f"the trained {recipe.name} answers with what are no numbers: not published; try another seed"
        )
    seconds = sum(epoch.seconds for epoch in fitted.epochs)
    temperature = fit_temperature(logits, held.labels)
    novelty = novelty_of(fitted, temperature, seen, held)
    return Trained(recipe, data, fitted, temperature, novelty, seconds, around.device)


def novelty_of(fitted: Fitted, temperature: float, seen: Images, held: Images) -> Novelty:
    """Return the score that tells outliers, made of training images and drawn, from held-out images."""
    learned = seen.take(slice(LEARNED_FROM))
    made = outliers(seen.pixels[-OUTLIERS:], torch.Generator().manual_seed(0))
    novelty = Novelty(fitted.observe(learned.pixels), learned.labels, temperature)
    return novelty.fit(fitted.observe(held.pixels), fitted.observe(made))


def _train(recipe: Recipe, seen: Images, held: Images, around: Circumstances, models: Path, console: Console) -> Fitted:
    soft, taught = None, {}
    if recipe.teacher:
        teacher = find_teacher(recipe.teacher, models)
        console.print(f"Asking the teacher, {teacher}", markup=False, soft_wrap=True)
        soft = soft_labels(teacher, seen.pixels)
        taught = {"teacher": f"{recipe.teacher}, version {teacher.parent.name}"}
    what = recipe.values() | taught | {"processes": around.group.size, "data": seen.sha256()}
    saved = SavedRun(models / CHECKPOINTS / f"{recipe.name}.pt", what)
    if around.resume and not saved.file.exists():
        console.print(f"Nothing to resume in {saved.file}: training from the beginning", markup=False, soft_wrap=True)
        around = replace(around, resume=False)
    with TrainingBar(recipe.epochs, len(seen.take(slice(recipe.images))), around.group.leads) as bar:
        return fit(recipe, seen, held, replace(around, saved=saved, report=bar.update), soft)
