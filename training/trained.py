"""A recipe carried out: the network with all that must be known of it to export it."""

import time
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console

from training.calibrate import fit_temperature
from training.datasets import DataSet
from training.formats import DataError
from training.networks import Served
from training.progress import TrainingBar
from training.recipes import Recipe
from training.report import epochs_table, summary
from training.train import Fitted, fit, from_checkpoint


@dataclass(frozen=True)
class Trained:
    """A trained network, the data it was trained on, and the temperature that calibrates it."""

    recipe: Recipe
    data: DataSet
    fitted: Fitted
    temperature: float
    seconds: float
    device: torch.device

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an input."""
        height, width, channels = self.data.test.pixels.shape[1:]
        return height, width, channels

    @property
    def served(self) -> Served:
        """The trained network inside the graph of the contract."""
        return Served(self.fitted.normalise, self.fitted.network, self.temperature).eval()


def carry_out(
    recipe: Recipe, data: DataSet, device: torch.device, checkpoint: Path | None, console: Console
) -> Trained:
    """Train, or take the weights of a checkpoint; then calibrate on the held-out images, telling it all to a person."""
    seen, held = data.train.split(min(recipe.held, len(data.train) // 10))
    if not len(held):
        raise DataError(f"{len(data.train)} images are too few to hold some out for calibration; take at least 10")
    console.print(
        f"{recipe.source.title}: {len(seen):,} images to train on, {len(held):,} held out, {len(data.test):,} to test"
    )
    channels_first = (data.test.pixels.shape[3], *data.test.pixels.shape[1:3])
    console.print(summary(recipe.network(), recipe.network().title, channels_first))
    start = time.perf_counter()
    if checkpoint:
        fitted = from_checkpoint(recipe, seen, checkpoint)
    else:
        with TrainingBar(recipe.epochs, len(seen)) as bar:
            fitted = fit(recipe, seen, held, device, bar.update)
        console.print(epochs_table(fitted.epochs))
    seconds = time.perf_counter() - start
    temperature = fit_temperature(fitted.logits(held.pixels), held.labels)
    return Trained(recipe, data, fitted, temperature, seconds, device)
