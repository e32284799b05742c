"""A model's predictions of its test images, image by image."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec import UNSET

from serving.model.card import ModelCard
from training.datasets.labelled import LabelledImages
from training.evaluation.evaluate_graph import Evaluation

COLUMNS = ("file", "true", "predicted", "probability", "set", "novel")
SET_SEPARATOR = ":"  # which no label has in it
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet runs a cell that begins so


@dataclass(frozen=True)
class ImagePrediction:
    """The prediction of a test image.

    place: among the test images. file: its name for people. true, predicted, label_set: indices of labels. probability:
    of the predicted label. novel: None where the graph does not tell.
    """

    place: int
    file: str
    true: int
    predicted: int
    probability: float
    label_set: tuple[int, ...]
    novel: bool | None

    @property
    def is_right(self) -> bool:
        """Whether the predicted label is the true one."""
        return self.predicted == self.true

    @property
    def is_covered(self) -> bool:
        """Whether the label set holds the true label."""
        return self.true in self.label_set


def image_predictions(
    evaluation: Evaluation, card: ModelCard, test: LabelledImages, files: Sequence[str]
) -> Iterator[ImagePrediction]:
    """Yield the prediction of each test image; files: their names, in the same order."""
    probabilities, scores = evaluation.probabilities.numpy(), evaluation.novelty_scores
    sets = card.conformal.default.sets(probabilities)
    for place, (file, true, row) in enumerate(zip(files, test.labels.tolist(), probabilities, strict=True)):
        predicted, label_set = int(row.argmax()), tuple(sets[place].nonzero()[0].tolist())
        novel = None if scores is None or card.novelty is UNSET else bool(scores[place] > card.novelty.threshold)
        yield ImagePrediction(place, file, true, predicted, float(row[predicted]), label_set, novel)


def write_predictions(predictions: Sequence[ImagePrediction], labels: Sequence[str], path: Path) -> None:
    """Write a CSV with a row for each prediction; the labels of a set are joined by colons, which no label has.

    A cell that a spreadsheet would run as a formula gets an apostrophe before it.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(map(_harmless, _row(prediction, labels)) for prediction in predictions)


def _row(prediction: ImagePrediction, labels: Sequence[str]) -> tuple[str, ...]:
    label_set = SET_SEPARATOR.join(labels[label] for label in prediction.label_set)
    novel = {None: "", False: "no", True: "yes"}[prediction.novel]
    true, predicted = labels[prediction.true], labels[prediction.predicted]
    return prediction.file, true, predicted, f"{prediction.probability:.4f}", label_set, novel


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(FORMULA) else cell
