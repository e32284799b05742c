"""The report on a model of own images: one self-contained HTML file, with pictures of its mistakes."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

import torch
from matplotlib.axes import Axes
from torch import Tensor

from serving.model.card import MODEL_FILE, ModelCard
from training.calibrated_model import CalibratedModel
from training.datasets.image_folder import ImageFolder, OwnImages
from training.datasets.labelled import LabelledImages, truth_of
from training.datasets.split_names import TEST
from training.evaluation.calibration import confusion, reliability
from training.evaluation.evaluate_graph import Evaluation
from training.figure import COLORS, TEXT_COLOR, figure_url
from training.networks.titles import has_frozen_backbone
from training.publish.model_folder import PREDICTIONS_FILE, REPORT_FILE
from training.publish.predictions import ImagePrediction, image_predictions, write_predictions
from training.report import MAX_LABELS_WITH_COUNTS, plot_epochs
from training.survey import Survey
from training.suspects import Suspect, held_out_messages, held_out_suspects
from training.task import macro_accuracy, task_of
from training.template import render
from training.thumbnails import thumbnail_url
from training.train.trainer import Epoch

TEMPLATE = Path(__file__).with_suffix(".html")
# 50 thumbnails of at most 96 pixels in all, of some 4 KB each.
MAX_MISTAKES = 20
MAX_CONFUSIONS, MAX_EXAMPLES = 5, 4
MAX_SUSPECTS = 10
FIGURE_SIZE = 4.6, 3.4  # inches: the text of a wider one would be too small on a phone
DOT_AREA = 400.0  # in points squared, of a dot that stands for all images


class LabelRow(NamedTuple):
    """The figures of a label: of its images to train on and to test, and of the latter; None where there are none.

    precision: of the images that were given it.
    """

    label: str
    trained: int
    tested: int
    recall: float | None
    precision: float | None
    coverage: float | None
    set_size: float | None


class Confusion(NamedTuple):
    """How often some labels were given to images of others, and the surest of these mistakes."""

    true: str
    predicted: str
    times: int
    examples: list[ImagePrediction]


@dataclass(frozen=True)
class ModelReport:
    """The report on a card's model.

    test: the test images. predictions, probabilities [n, classes]: of each. trained: the number of images of each label
    that were learned from, validation images included. images: the number of all, test images included. epochs: of the
    training. suspects: the images with a likely mislabel, the likeliest first; None where they were not looked for.
    """

    card: ModelCard
    test: LabelledImages
    predictions: Sequence[ImagePrediction]
    probabilities: Tensor
    trained: Sequence[int]
    images: int
    epochs: Sequence[Epoch]
    suspects: Sequence[Suspect] | None = None

    @property
    def macro_accuracy(self) -> float:
        """The mean of the labels' own accuracies."""
        decided = torch.from_numpy(self.card.decide(self.probabilities.numpy()))
        return macro_accuracy(decided, truth_of(self.test.labels, len(self.card.labels)))

    @cached_property
    def mistakes(self) -> list[ImagePrediction]:
        """The predictions that are wrong, the surest first."""
        wrong = (prediction for prediction in self.predictions if not prediction.is_right)
        return sorted(wrong, key=lambda prediction: -prediction.sureness)

    @property
    def is_frozen(self) -> bool:
        """Whether the last layer alone was fitted."""
        return has_frozen_backbone(self.card.network)

    @property
    def likeliest(self) -> Sequence[Suspect]:
        """The suspects that the report shows."""
        return (self.suspects or ())[:MAX_SUSPECTS]

    @property
    def worst(self) -> list[ImagePrediction]:
        """The mistakes that the report shows."""
        return self.mistakes[:MAX_MISTAKES]

    @property
    def confusions(self) -> Iterator[Confusion]:
        """The most frequent confusions, with examples; those seen once are mistakes like others."""
        pairs = Counter((mistake.true, mistake.predicted) for mistake in self.mistakes)
        repeated = [(pair, times) for pair, times in pairs.most_common(MAX_CONFUSIONS) if times > 1]
        for (true, predicted), times in repeated:
            examples = [one for one in self.mistakes if (one.true, one.predicted) == (true, predicted)]
            yield Confusion(self.named(true), self.named(predicted), times, examples[:MAX_EXAMPLES])

    def named(self, labels: Sequence[int]) -> str:
        """Return labels for people."""
        return ", ".join(self.card.labels[label] for label in labels) or "none of the labels"

    @property
    def matrix(self) -> list[list[int]]:
        """The confusion matrix, a true label's row counts the predicted labels.

        Empty where it would be too large, and where an image may have several labels.
        """
        if self.card.task or len(self.card.labels) > MAX_LABELS_WITH_COUNTS:
            return []
        counts: list[list[int]] = confusion(self.probabilities, self.test.labels).tolist()
        return counts

    @property
    def by_label(self) -> Iterator[LabelRow]:
        """The figures label by label."""
        for index, (label, trained) in enumerate(zip(self.card.labels, self.trained, strict=True)):
            own = [one for one in self.predictions if index in one.true]
            recall = _mean(index in one.predicted for one in own)
            coverage = _mean(index in one.label_set for one in own)
            precision = _mean(index in one.true for one in self.predictions if index in one.predicted)
            set_size = _mean(len(one.label_set) for one in own)
            yield LabelRow(label, trained, len(own), recall, precision, coverage, set_size)

    def thumbnail(self, prediction: ImagePrediction) -> str:
        """Return a small picture of a test image as a data URL."""
        return thumbnail_url(self.test.pixels[prediction.place].numpy())

    @property
    def reliability_url(self) -> str:
        """The reliability diagram: accuracy by probability, a dot for each bin with images."""
        sums = reliability(self.probabilities, self.test.labels, task=task_of(self.card.decision))
        return figure_url(partial(_paint_reliability, sums), *FIGURE_SIZE)

    @property
    def curve_urls(self) -> dict[str, str]:
        """The figures of loss and accuracy by epoch; none where the training had no more than one."""
        names = ("loss", "accuracy") if len(self.epochs) > 1 else ()
        return {name: figure_url(partial(_paint_curve, self.epochs, name), *FIGURE_SIZE) for name in names}

    def to_html(self) -> str:
        """Return the page."""
        return render(TEMPLATE, {"percent": percent}, report=self, card=self.card, labels=self.card.labels)


def write_report(version: Path, model: CalibratedModel, card: ModelCard, evaluation: Evaluation) -> list[str]:
    """Write the report on a model of own images, and its predictions of them, into the folder of its version.

    Returns messages on likely mislabels. Writes nothing for a published data set: its images are not to be copied into
    the folders of models.
    """
    source, data = model.recipe.source, model.data
    if not isinstance(source, ImageFolder) or not isinstance(data, OwnImages):
        return []
    survey = Survey(source, data)
    suspects = held_out_suspects(survey, card, version / MODEL_FILE)
    files = [source.named(file.path) for file in data.files[TEST]]
    predictions = list(image_predictions(evaluation, card, data.test, files))
    write_predictions(predictions, card.labels, version / PREDICTIONS_FILE)
    learned = torch.cat([part.labels for part in model.split])
    trained = truth_of(learned, len(card.labels)).sum(0).tolist()
    epochs, probabilities = model.trained.epochs, evaluation.probabilities
    report = ModelReport(card, data.test, predictions, probabilities, trained, len(survey.all), epochs, suspects)
    (version / REPORT_FILE).write_text(report.to_html(), encoding="utf-8")
    return [] if suspects is None else list(held_out_messages(suspects, survey, MAX_SUSPECTS))


def percent(share: float | None) -> str:
    """Return a share as a person reads it; None is that of no images."""
    return "none" if share is None else f"{share:.1%}"


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return sum(found) / len(found) if found else None


def _paint_reliability(sums: Tensor, axes: list[Axes]) -> None:
    count, confidence, right = sums[:, sums[0] > 0]
    (place,) = axes
    place.plot([0, 1], [0, 1], "--", color=TEXT_COLOR, linewidth=1, label="as often right as it says")
    areas = DOT_AREA * count / count.sum()
    place.scatter(
        confidence / count, right / count, s=areas.clamp_min(12).numpy(), color=COLORS[0], alpha=0.8, clip_on=False
    )
    place.set(xlabel="probability of the label", ylabel="share that is right", xlim=(0, 1.03), ylim=(-0.03, 1.03))
    place.legend(loc="upper left")


def _paint_curve(epochs: Sequence[Epoch], name: str, axes: list[Axes]) -> None:
    plot_epochs(axes[0], epochs, name)
