"""A model's predictions of its test images, image by image."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from serving.model.card import ModelCard
from training.datasets.labelled import LabelledImages, truth_of
from training.evaluation.evaluate_graph import Evaluation

COLUMNS = ("file", "true", "predicted", "probability", "set", "novel")
SEPARATOR = ":"  # which no label has in it
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet runs a cell that begins so


@dataclass(frozen=True)
class ImagePrediction:
    """The prediction of a test image.

    place: among the test images. file: its name for people. true, predicted, label_set: indices of labels, true
    and predicted of one or several. probabilities: of all labels. novel: None where the graph has no such output.
    """

    place: int
    file: str
    true: tuple[int, ...]
    predicted: tuple[int, ...]
    probabilities: tuple[float, ...]
    label_set: tuple[int, ...]
    novel: bool | None

    @property
    def is_right(self) -> bool:
        """Whether the predicted labels are the true ones."""
        return self.predicted == self.true

    @property
    def sureness(self) -> float:
        """The probability of the worst mistake: of a wrong label or, without one, that a missed label is not there."""
        wrong = [self.probabilities[label] for label in self.predicted if label not in self.true]
        missed = [1 - self.probabilities[label] for label in self.true if label not in self.predicted]
        return max(wrong or missed, default=0.0)


def image_predictions(
    evaluation: Evaluation, card: ModelCard, test: LabelledImages, files: Sequence[str]
) -> Iterator[ImagePrediction]:
    """Yield the prediction of each test image; files: their names, in the same order."""
    probabilities, novel = evaluation.probabilities.numpy(), card.novel(evaluation.novelty_scores)
    truth = truth_of(test.labels, len(card.labels)).numpy()
    rows = zip(files, truth, card.decide(probabilities), probabilities, card.sets(probabilities), strict=True)
    for place, (file, true, decided, row, label_set) in enumerate(rows):
        true, decided, label_set = (tuple(has.nonzero()[0].tolist()) for has in (true, decided, label_set))
        is_novel = novel[place] if novel else None
        yield ImagePrediction(place, file, true, decided, tuple(row.tolist()), label_set, is_novel)


def write_predictions(predictions: Sequence[ImagePrediction], labels: Sequence[str], path: Path) -> None:
    """Write a CSV with a row for each prediction; several labels are joined by colons, which no label has.

    A cell that a spreadsheet would run as a formula gets an apostrophe before it.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(map(_harmless, _row(prediction, labels)) for prediction in predictions)


def _row(prediction: ImagePrediction, labels: Sequence[str]) -> tuple[str, ...]:
    true, predicted, label_set = (
        SEPARATOR.join(labels[label] for label in some)
        for some in (prediction.true, prediction.predicted, prediction.label_set)
    )
    probability = SEPARATOR.join(f"{prediction.probabilities[label]:.4f}" for label in prediction.predicted)
    novel = {None: "", False: "no", True: "yes"}[prediction.novel]
    return prediction.file, true, predicted, probability, label_set, novel


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(FORMULA) else cell
