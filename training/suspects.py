"""Suspects: own images whose labels are probably wrong, as messages and reports show them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from serving.model.card import ModelCard
from training.datasets.image_file import printable
from training.evaluation.held_out import graph_features, held_out_probabilities, pretrained_features
from training.evaluation.mislabels import Mislabel, likely_mislabels
from training.networks.efficientnet import has_pretrained
from training.networks.titles import has_frozen_backbone
from training.survey import Survey, Surveyed
from training.task import task_of
from training.thumbnails import thumbnail_url

MAX_IMAGES = 10_000  # with more, a network that learned from all of them knows them better than ImageNet's features


@dataclass(frozen=True)
class Suspect:
    """An own image, its name for people, the labels that it more likely has, by how much in probability, its pixels."""

    image: Surveyed
    file: str
    rather: str
    margin: float
    pixels: Tensor

    def __str__(self) -> str:
        label = f"{self.image.label!r}, more likely {self.rather!r}"
        return f"{printable(self.image.path)}: {label} (by {self.margin:.2f} in probability)"

    @property
    def picture(self) -> str:
        """A small picture as a data URL."""
        return thumbnail_url(self.pixels.numpy())


def suspects(survey: Survey, found: Iterable[Mislabel]) -> list[Suspect]:
    """Return the suspects for likely mislabels among all images of a survey, in the same order."""
    folder, images, pixels = survey.folder, survey.images, survey.all.pixels
    return [
        Suspect(images[place], folder.named(images[place].path), survey.named(labels), margin, pixels[place])
        for place, labels, margin in found
    ]


def held_out_suspects(survey: Survey, card: ModelCard, file: Path) -> list[Suspect] | None:
    """Return the suspects by cross-validation, the likeliest first; None where the model is right more often.

    card, file: of a model of these images. A frozen backbone, which no image trained, is taken from its file. For other
    models EfficientNet-Lite0 is taken, where it is installed, the images are not too many for it, and its last layers
    are right more often than the model. Raises DataError when the file cannot be cut before its last layer.
    """
    images, task = survey.all, task_of(card.decision)
    frozen = has_frozen_backbone(card.network)
    if not frozen and (len(images) > MAX_IMAGES or not has_pretrained()):
        return None
    features = graph_features(file, images.pixels) if frozen else pretrained_features(images)
    probabilities = held_out_probabilities(features, images.labels, len(survey.folder.labels))
    if not frozen and task.right(probabilities, images.labels).float().mean() < card.metrics.accuracy:
        return None
    return suspects(survey, likely_mislabels(probabilities, images.labels))


def held_out_messages(found: Sequence[Suspect], survey: Survey, most: int) -> Iterator[str]:
    """Yield how many suspects cross-validation found, and most of them, the likeliest first."""
    n = len(survey.all)
    how = "each classified by a last layer that did not learn from it"
    shown = f"; the likeliest {most}:" if len(found) > most else ""
    yield f"Likely mislabels: {len(found):,} of {n:,} images, {how}{shown}"
    yield from (f"  {suspect}" for suspect in found[:most])
