"""From a trained network to a calibrated model, which has all that an export needs."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from serving.model.classifier import Outputs
from training.datasets.labelled import LabelledImages, TrainTest, rarest_label
from training.datasets.outliers import outliers, parts
from training.datasets.pixels import to_images, to_pixels
from training.datasets.views import photographed
from training.evaluation.calibration import fit_temperature
from training.networks.base import INFERENCE_BATCH
from training.networks.exported import ExportedModel
from training.networks.novelty import NoveltyScore, Sample
from training.pipeline import split
from training.progress import stage
from training.recipe import Recipe
from training.train.trained_network import TrainedNetwork

NOVELTY_IMAGES = 5_000  # training images whose features the novelty score measures; more change nothing that counts
OUTLIERS = 3_000
# By fit: fewer photos of garments are taken, since the service takes 7 ms to read one.
PHOTOGRAPHED = {"garment": 1_000, "photo": 2_500}  # training images, and as many validation images
OUTLIERS_WITH_PHOTOS = {"garment": OUTLIERS, "photo": 2 * OUTLIERS}  # every other one is photographed
NEIGHBOURS = 100  # five times as many change AUROC by less than 0.01, and none are better for the small networks


class DivergedError(Exception):
    """Training diverged: the logits are NaN or infinite."""


@dataclass(frozen=True)
class CalibratedModel:
    """A trained network with its data, the temperature that calibrates it, and its novelty score, if it has one.

    photos: composed of validation images, uint8 [n, h, w, c]: they set the threshold of novelty; None: those do.
    """

    recipe: Recipe
    data: TrainTest
    trained: TrainedNetwork
    temperature: float
    novelty: NoveltyScore | None
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
        exported = self.exported
        with torch.inference_mode():
            batches = [exported(batch) for batch in torch.from_numpy(pixels).split(INFERENCE_BATCH)]
        return Outputs.concatenate([Outputs(*(output.numpy() for output in batch)) for batch in batches])


def calibrate(recipe: Recipe, data: TrainTest, trained: TrainedNetwork) -> CalibratedModel:
    """Calibrate a trained network on the validation images. Raises DivergedError."""
    stage(f"Calibrating: temperature{' and novelty score' if recipe.novelty else ''}")
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
        photos = photographed(validation.pixels[: PHOTOGRAPHED[recipe.fit]], recipe.fit, generator)
    novelty = fit_novelty(recipe, trained, temperature, images, known, photos) if recipe.novelty else None
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
    count = OUTLIERS if photos is None else OUTLIERS_WITH_PHOTOS[recipe.fit]
    measured, made = train.take(slice(NOVELTY_IMAGES)), outliers(train.pixels[-count:], generator)
    labels = rarest_label(train.labels)[:NOVELTY_IMAGES]
    if photos is None:
        return NoveltyScore(sample(measured.pixels), labels, temperature).fit(validation, sample(made))
    some = train.take(slice(PHOTOGRAPHED[recipe.fit]))
    shown = [made[1::2]]
    if recipe.fit == "garment":
        shown.append(to_pixels(parts(to_images(train.pixels[: count // 2]), generator)))
    seen, *novel = (photographed(pixels, recipe.fit, generator) for pixels in (some.pixels, *shown))
    labels = torch.cat([labels, labels[: len(some)]])
    known = sample(torch.cat([measured.pixels, seen]))
    score = NoveltyScore(known, labels, temperature, NEIGHBOURS, weigh_features=True)
    return score.fit(validation, sample(torch.cat([made[::2], *novel])), sample(photos), recipe.flagged_photos)
