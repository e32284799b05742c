"""Suspects: own images that probably have a wrong label, as people are told of them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from training.datasets.image_file import printable
from training.evaluation.held_out import held_out_probabilities
from training.evaluation.mislabels import Mislabel, likely_mislabels
from training.survey import Survey, Surveyed
from training.thumbnails import thumbnail_url


@dataclass(frozen=True)
class Suspect:
    """An own image, its name for people, the label that it more likely has, by how much in probability, its pixels."""

    image: Surveyed
    file: str
    rather: str
    margin: float
    pixels: Tensor

    def __str__(self) -> str:
        label = f"{self.image.label!r}, rather {self.rather!r}"
        return f"{printable(self.image.path)}: {label} (by {self.margin:.2f} in probability)"

    @property
    def picture(self) -> str:
        """A small picture as a data URL."""
        return thumbnail_url(self.pixels.numpy())


def suspects(survey: Survey, found: Iterable[Mislabel]) -> list[Suspect]:
    """Return the suspects for likely mislabels among all images of a survey, in the same order."""
    folder, images, pixels = survey.folder, survey.images, survey.all.pixels
    return [
        Suspect(images[place], folder.named(images[place].path), folder.labels[label], margin, pixels[place])
        for place, label, margin in found
    ]


def held_out_suspects(model: Path, survey: Survey) -> list[Suspect]:
    """Return the suspects by cross-validation, the likeliest first; model: a file with a frozen backbone.

    Raises DataError when the file cannot be cut before its last layer.
    """
    probabilities = held_out_probabilities(model, survey.all, len(survey.folder.labels))
    return suspects(survey, likely_mislabels(probabilities, survey.all.labels))


def held_out_messages(found: Sequence[Suspect], survey: Survey, most: int) -> Iterator[str]:
    """Yield how many suspects cross-validation found, and most of them, the likeliest first."""
    n = len(survey.all)
    yield f"Likely mislabels: {len(found):,} of {n:,} images, each told by a last layer that did not learn from it"
    yield from (f"  {suspect}" for suspect in found[:most])
