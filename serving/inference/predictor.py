"""From uploads to predictions, one answer an upload; knows no web framework."""

from collections.abc import Sequence
from functools import partial
from time import perf_counter, time
from typing import NamedTuple

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from serving.concurrency import OneByOne
from serving.inference.batching import Runs
from serving.model.classifier import Classifier, Outputs
from serving.model.card import Level
from serving.errors import Refusal
from serving.imaging.preprocessing import Input, Opened, PixelBudget, fit, opened
from serving.prediction import Candidate, Prediction
from serving.inference.options import Question
from serving.repository.repository import Repository
from serving.telemetry.prediction_metrics import Drift
from serving.telemetry.shadow import Shadow
from serving.inference.timings import Batch, Stages

Upload = bytes | Refusal
LONG = 100_000  # bytes of an upload: even the header of more may take milliseconds to read


class Prepared(NamedTuple):
    """An image made the input of the model that is to answer it."""

    classifier: Classifier
    input: Input


class Answers(NamedTuple):
    """One answer an upload, in their order, the models that gave them, and what that took."""

    items: list[Prediction | Refusal]
    classifiers: tuple[Classifier, ...]
    stages: Stages


class Desk:
    """Where images are answered: the models there are, the limit on an image, and what counts and compares answers."""

    def __init__(
        self,
        repository: Repository,
        max_pixels: int,
        drift: Drift,
        one_by_one: OneByOne,
        shadow: Shadow | None = None,
    ) -> None:
        """one_by_one: does what takes long."""
        self._repository = repository
        self._max_pixels = max_pixels
        self._drift = drift
        self.one_by_one = one_by_one
        self._shadow = shadow
        self._runs = Runs(self._note)

    def answer(self, uploads: Sequence[Upload], question: Question, wait: float = 0.0) -> Answers:
        """Classify each upload, those of one model in one batch; a bad upload's refusal stands in its place.

        wait: how many seconds the request has waited for its turn.
        """
        stages = Stages(wait=wait)
        answers: dict[int, Prediction | Refusal] = {}
        batches: dict[Classifier, list[tuple[int, Input]]] = {}
        for place, item in enumerate(self.prepare(uploads, question, stages)):
            if isinstance(item, Refusal):
                answers[place] = item
            else:
                batches.setdefault(item.classifier, []).append((place, item.input))
        for classifier, batch in batches.items():
            places, inputs = zip(*batch, strict=True)
            answers.update(zip(places, self._predict(classifier, inputs, question, stages), strict=True))
        self.done(stages)
        return Answers([answers[place] for place in range(len(uploads))], tuple(batches), stages)

    def prepare(self, uploads: Sequence[Upload], question: Question, stages: Stages) -> list[Prepared | Refusal]:
        """Make each upload the input of the model that is asked for, or that its colour decides on."""
        named = self._repository.named(question.model, question.version) if question.model else None
        return self.prepare_for(named, uploads, stages)

    def prepare_for(
        self, named: Classifier | None, uploads: Sequence[Upload], stages: Stages
    ) -> list[Prepared | Refusal]:
        """Make each upload the input of this model, or of the one that its colour decides on."""
        budget = PixelBudget(self._max_pixels)
        return [self._prepare(upload, named, budget, stages) for upload in uploads]

    def run(self, classifier: Classifier, pixels: NDArray[np.uint8], stages: Stages) -> Outputs:
        """Return what a graph makes of pixels [batch, height, width, channels], measured."""
        outputs, seconds = self._runs.run(classifier, pixels)
        stages.infer += seconds
        stages.batches.append(Batch(classifier, len(pixels), seconds, time()))
        return outputs

    def done(self, stages: Stages) -> None:
        """Note what an answered request took."""
        self._drift.took(stages)

    def refused(self, question: Question, refusal: Refusal, seconds: float) -> None:
        """Count a request that named a model there is, and was refused after so many seconds."""
        model = self._repository.models.get(question.model or "")
        if model is None:
            return
        version = question.version or (model.classifier.card.version if model.classifier else "")
        if version in model.versions:
            self._drift.refused(model.name, version, refusal, seconds)

    def _note(self, classifier: Classifier, pixels: NDArray[np.uint8], outputs: Outputs, seconds: float) -> None:
        self._drift.observe(classifier, pixels, outputs)
        if self._shadow:
            self._shadow.observe(classifier, pixels, outputs, seconds)

    def _prepare(
        self, upload: Upload, named: Classifier | None, budget: PixelBudget, stages: Stages
    ) -> Prepared | Refusal:
        if isinstance(upload, Refusal):
            return upload
        try:
            if len(upload) > LONG:
                return self.one_by_one(lambda: self._prepare_opened(_opened(upload, budget, stages), named, stages))
            image = _opened(upload, budget, stages)
            work = partial(self._prepare_opened, image, named, stages)
            return self.one_by_one(work) if image.large else work()
        except Refusal as refusal:
            return refusal

    def _prepare_opened(self, image: Opened, named: Classifier | None, stages: Stages) -> Prepared:
        start = perf_counter()
        picture = image.picture()
        classifier = named or self._repository.default(picture.grey)
        decoded = perf_counter()
        how = classifier.card.fit
        fitted = fit(picture, how, classifier.height, classifier.width, classifier.channels)
        stages.decode += decoded - start
        stages.fit += perf_counter() - decoded
        return Prepared(classifier, fitted)

    def _predict(
        self, classifier: Classifier, inputs: Sequence[Input], question: Question, stages: Stages
    ) -> list[Prediction]:
        level = question.level(classifier.card)
        pixels = np.stack([item.pixels for item in inputs]) if len(inputs) > 1 else inputs[0].pixels[None]
        outputs = self.run(classifier, pixels, stages)
        start = perf_counter()
        predictions = _predictions(classifier, inputs, outputs, level, question)
        stages.answer += perf_counter() - start
        return predictions


def _opened(upload: bytes, budget: PixelBudget, stages: Stages) -> Opened:
    start = perf_counter()
    image = opened(upload, budget)
    stages.decode += perf_counter() - start
    return image


def _predictions(
    classifier: Classifier, inputs: Sequence[Input], outputs: Outputs, level: Level, question: Question
) -> list[Prediction]:
    card, labels = classifier.card, classifier.card.labels
    novelties = None if outputs.novelty is None else outputs.novelty.tolist()
    novel = classifier.novel(outputs)
    predictions = []
    # In plain Python: for one image of ten labels numpy's calls would take several times as long.
    for place, (item, probabilities) in enumerate(zip(inputs, outputs.probabilities.tolist(), strict=True)):
        best = sorted(range(len(labels)), key=probabilities.__getitem__, reverse=True)
        top = [Candidate(labels[index], index, round(probabilities[index], 6)) for index in best[: question.top_k]]
        likely = [labels[index] for index in best if probabilities[index] >= level.threshold]
        prediction = Prediction(
            model=card.name,
            version=card.version,
            label=top[0].label,
            index=top[0].index,
            probability=top[0].probability,
            top=top,
            set=likely or [top[0].label],
            coverage=level.coverage,
            novelty=UNSET if novelties is None else round(novelties[place], 6),
            novel=UNSET if novel is None else novel[place],
            fit=item.done,
            seen=item.data_url() if question.seen else UNSET,
        )
        predictions.append(prediction)
    return predictions
