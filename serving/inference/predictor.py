"""Turn uploads into predictions: read the header, decode, preprocess, infer, answer. Knows no web framework."""

from collections.abc import Sequence
from functools import partial
from math import isfinite
from time import monotonic, perf_counter
from typing import NamedTuple, Protocol

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from serving.concurrency import SerialExecutor, Turn
from serving.errors import Refusal, not_a_number
from serving.imaging.decoding import DecodedImage, PixelBudget, decode, read_header
from serving.imaging.plain import is_quick
from serving.imaging.preprocessing import ModelInput
from serving.imaging.scaling import side_needed
from serving.inference.batching import Batcher
from serving.inference.decoders import REQUEST_SECONDS, Decoders
from serving.inference.failures import log_failure
from serving.inference.inputs import ModelInputs
from serving.inference.options import PredictOptions
from serving.inference.routing import choose
from serving.inference.timings import Timings
from serving.model.classifier import Classifier, Outputs
from serving.model.conformal import Level
from serving.model.runtime import RUNTIME_ERRORS
from serving.prediction import Candidate, Prediction
from serving.repository.repository import Repository

Upload = bytes | Refusal


class Observer(Protocol):
    """Is told of everything that the predictor does; telemetry implements it."""

    def on_batch(self, classifier: Classifier, pixels: NDArray[np.uint8], outputs: Outputs, seconds: float, /) -> None:
        """A graph has run over inputs [batch, height, width, channels]."""

    def on_decoding_ended(self, reason: str, /) -> None:
        """An image was given up for "time", for "memory" or for the "crash" of its decoder."""

    def on_request(self, timings: Timings, /) -> None:
        """A request has been answered."""

    def on_refusal(self, model: str, version: str, refusal: Refusal, seconds: float, /) -> None:
        """A request that named an existing model has been refused after this time."""


class NullObserver:
    """Observes nothing."""

    def on_batch(self, *_: object) -> None: ...
    def on_decoding_ended(self, *_: object) -> None: ...
    def on_request(self, *_: object) -> None: ...
    def on_refusal(self, *_: object) -> None: ...


class PreparedInput(NamedTuple):
    """The input made of an upload, and the model that is to answer it."""

    classifier: Classifier
    input: ModelInput


class Predictions(NamedTuple):
    """A prediction or a refusal for each upload, in order; the models that answered; and the time taken."""

    items: list[Prediction | Refusal]
    classifiers: tuple[Classifier, ...]
    timings: Timings


class Predictor:
    """Answers uploads with the models of a repository."""

    def __init__(
        self, repository: Repository, max_pixels: int, executor: SerialExecutor, observer: Observer | None = None
    ) -> None:
        """max_pixels: of an image. executor: runs what takes long."""
        self._repository = repository
        self._max_pixels = max_pixels
        self._executor = executor
        self._observer = observer or NullObserver()
        self.decoders = Decoders(executor.timeout, self._observer.on_decoding_ended)
        self._batcher = Batcher(self._observer.on_batch)

    def predict(self, uploads: Sequence[Upload], options: PredictOptions, wait: float = 0.0) -> Predictions:
        """Classify each upload, those of one model in one batch; a bad upload's refusal stands in its place.

        wait: seconds that the request has waited for its turn.
        """
        timings = Timings(wait=wait)
        items: dict[int, Prediction | Refusal] = {}
        inputs: dict[Classifier, dict[int, ModelInput]] = {}
        for place, prepared in enumerate(self.prepare(uploads, self.named(options), timings)):
            if isinstance(prepared, Refusal):
                items[place] = prepared
            else:
                inputs.setdefault(prepared.classifier, {})[place] = prepared.input
        for classifier, batch in inputs.items():
            answers = self._classify(classifier, list(batch.values()), options, timings)
            items.update(zip(batch, answers, strict=True))
        self.record_done(timings)
        return Predictions([items[place] for place in range(len(uploads))], tuple(inputs), timings)

    def prepare(
        self, uploads: Sequence[Upload], classifier: Classifier | None, timings: Timings
    ) -> list[PreparedInput | Refusal]:
        """Make each upload an input of this model or, without one, of the default model that suits it."""
        budget, deadline = PixelBudget(self._max_pixels), monotonic() + REQUEST_SECONDS
        found: list[PreparedInput | Refusal] = []
        turn = Turn()
        for upload in uploads:
            found.append(self._prepare_one(upload, classifier, budget, timings, deadline))
            turn.end_if_long()
        return found

    def infer(self, classifier: Classifier, pixels: NDArray[np.uint8], timings: Timings) -> Outputs:
        """Run a graph over pixels [batch, height, width, channels], and record the time. Raises RUNTIME_ERRORS."""
        outputs, seconds = self._batcher.run(classifier, pixels)
        timings.add_run(classifier, len(pixels), seconds)
        return outputs

    def record_done(self, timings: Timings) -> None:
        """Tell the observer that a request has been answered."""
        self._observer.on_request(timings)

    def record_refusal(self, options: PredictOptions, refusal: Refusal, seconds: float) -> None:
        """Tell the observer of a refused request, if it named an existing model."""
        model = self._repository.models.get(options.model or "")
        if model is None:
            return
        version = options.version or (model.classifier.card.version if model.classifier else "")
        if version in model.versions:
            self._observer.on_refusal(model.name, version, refusal, seconds)

    def named(self, options: PredictOptions) -> Classifier | None:
        """Return the model that the options name, if they name one; raises as Repository.named does."""
        return self._repository.named(options.model, options.version) if options.model else None

    def _prepare_one(
        self, upload: Upload, classifier: Classifier | None, budget: PixelBudget, timings: Timings, deadline: float
    ) -> PreparedInput | Refusal:
        """Decode and preprocess one upload: in the event loop if that is quick, otherwise in a process and a thread."""
        if isinstance(upload, Refusal):
            return upload
        candidates = [classifier] if classifier else self._repository.defaults.classifiers
        min_side = max((side_needed(one.height, one.width) for one in candidates), default=0)
        try:
            if not is_quick(upload):
                decoded = self.decoders.decode(upload, budget, min_side, timings, deadline)
                return self._executor.run(partial(self._to_input, decoded, classifier, timings))
            start = perf_counter()
            decoded = decode(read_header(upload, budget), min_side)
            timings.decode += perf_counter() - start
            return self._to_input(decoded, classifier, timings)
        except Refusal as refusal:
            return refusal
        except RUNTIME_ERRORS as error:  # of a graph that was to choose between models
            return log_failure("Choosing a model for an image", error)

    def _classify(
        self, classifier: Classifier, inputs: Sequence[ModelInput], options: PredictOptions, timings: Timings
    ) -> list[Prediction | Refusal]:
        """Run the graph over one batch and answer; if it fails, refuse the images at which it fails alone too."""
        level = options.level(classifier.card)
        try:
            outputs = self.infer(classifier, _stack(inputs), timings)
        except RUNTIME_ERRORS as error:
            if len(inputs) == 1:
                return [log_failure(f"The graph of {classifier.full_name}", error)]
            found, turn = [], Turn()
            for item in inputs:
                found += self._classify(classifier, [item], options, timings)
                turn.end_if_long()
            return found
        start = perf_counter()
        answers = _answer(classifier, inputs, outputs, level, options)
        timings.answer += perf_counter() - start
        return answers

    def _to_input(self, decoded: DecodedImage, classifier: Classifier | None, timings: Timings) -> PreparedInput:
        """Preprocess an image for this model or, without one, for the default model that suits it."""
        inputs = ModelInputs(decoded, timings)
        chosen = classifier or choose(self._repository, inputs)
        return PreparedInput(chosen, inputs.of(chosen))


def _stack(inputs: Sequence[ModelInput]) -> NDArray[np.uint8]:
    return np.stack([item.pixels for item in inputs]) if len(inputs) > 1 else inputs[0].pixels[None]


def _answer(
    classifier: Classifier, inputs: Sequence[ModelInput], outputs: Outputs, level: Level, options: PredictOptions
) -> list[Prediction | Refusal]:
    """Return the prediction for each input of a batch, or a refusal where the graph gives NaN or infinity."""
    card, labels = classifier.card, classifier.card.labels
    novelties = None if outputs.novelty is None else outputs.novelty.tolist()
    novel = card.novel(outputs.novelty)
    thresholds = level.by_label(len(labels))
    predictions: list[Prediction | Refusal] = []
    # In plain Python: for one image of ten labels numpy's calls would take several times as long.
    for place, (item, probabilities) in enumerate(zip(inputs, outputs.probabilities.tolist(), strict=True)):
        if not isfinite(sum(probabilities)):
            predictions.append(not_a_number(card.name))
            continue
        ranked = sorted(range(len(labels)), key=probabilities.__getitem__, reverse=True)
        top = _candidates(labels, ranked[: options.top_k], probabilities)
        given = _reaching(card.task.thresholds, ranked, probabilities) if card.task else ranked[:1]
        label_set = _reaching(thresholds, ranked, probabilities) or given
        prediction = Prediction(
            model=card.name,
            version=card.version,
            label=top[0].label,
            index=top[0].index,
            probability=top[0].probability,
            top=top,
            labels=_candidates(labels, given, probabilities) if card.task else UNSET,
            set=[labels[index] for index in label_set],
            coverage=None if novel and novel[place] else level.coverage,
            novelty=round(novelties[place], 6) if novelties and isfinite(novelties[place]) else UNSET,
            novel=UNSET if novel is None else novel[place],
            fit=item.steps,
            seen=item.data_url() if options.seen else UNSET,
        )
        predictions.append(prediction)
    return predictions


def _candidates(labels: Sequence[str], indices: Sequence[int], probabilities: Sequence[float]) -> list[Candidate]:
    return [Candidate(labels[index], index, round(probabilities[index], 6)) for index in indices]


def _reaching(thresholds: Sequence[float], indices: Sequence[int], probabilities: Sequence[float]) -> list[int]:
    return [index for index in indices if probabilities[index] >= thresholds[index]]
