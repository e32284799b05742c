"""Count predictions: their labels, probabilities, entropies, set sizes and novelty, and their inputs' brightness."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from serving.errors import Overloaded, Refusal
from serving.inference.timings import REPORTED_STAGES, Timings
from serving.model.classifier import Classifier, Outputs
from serving.telemetry.metrics import Metrics

FLUSH_AT = 1024  # requests that are counted together: enough that each costs next to nothing
FLUSH_BYTES = 4_000_000  # of inputs: they are kept until they are counted
REJECTED, OTHER = "REJECTED", "OTHER"  # Triton's words for why a request failed: overload, or anything else


class Observation(NamedTuple):
    """A batch of outputs, and the inputs that they are for [batch, height, width, channels]."""

    outputs: Outputs
    pixels: NDArray[np.uint8]

    @classmethod
    def concatenate(cls, batches: "Sequence[Observation]") -> "Observation":
        """Return batches of one model as one."""
        outputs = Outputs.concatenate([batch.outputs for batch in batches])
        return cls(outputs, np.concatenate([batch.pixels for batch in batches]))

    def sound(self) -> "Observation":
        """Return it without the images whose probabilities are not finite: the metrics' sums would be NaN for ever."""
        probabilities, novelty = self.outputs
        rows = np.isfinite(probabilities).all(1)
        if rows.all():
            return self
        return Observation(Outputs(probabilities[rows], None if novelty is None else novelty[rows]), self.pixels[rows])

    def brightness(self) -> NDArray[np.float64]:
        """Return the mean brightness of each input, 0 to 1 [batch]."""
        pixels = self.pixels.reshape(len(self.pixels), -1)
        brightness: NDArray[np.float64] = pixels.sum(1, dtype=np.uint32) / (255 * pixels.shape[1])
        return brightness


class PredictionMetrics:
    """Counts predictions many at a time: one by one, that would take longer than decoding the images.

    So /metrics may show another worker's counts a second late; call flush() that often.
    """

    def __init__(self, metrics: Metrics, flush_at: int = FLUSH_AT, flush_bytes: int = FLUSH_BYTES) -> None:
        """flush_at: requests that are counted together. flush_bytes: of their inputs."""
        self._metrics = metrics
        self._flush_at = flush_at
        self._flush_bytes = flush_bytes
        self._observations: dict[Classifier, list[Observation]] = {}
        self._timings: list[Timings] = []
        self._bytes = 0  # of the inputs in the observations

    def on_batch(self, classifier: Classifier, pixels: NDArray[np.uint8], outputs: Outputs) -> None:
        """Note a batch of inputs [batch, height, width, channels] and the outputs for it."""
        self._observations.setdefault(classifier, []).append(Observation(outputs, pixels))
        self._bytes += pixels.nbytes

    def on_request(self, timings: Timings) -> None:
        """Note an answered request."""
        self._timings.append(timings)
        if len(self._timings) >= self._flush_at or self._bytes >= self._flush_bytes:
            self.flush()

    def on_refusal(self, model: str, version: str, refusal: Refusal, seconds: float) -> None:
        """Count a refused request that named a model, and the seconds that it took."""
        reason = REJECTED if isinstance(refusal, Overloaded) else OTHER
        self._metrics.failures.labels(model, version, reason).inc()
        self._metrics.failure_seconds.labels(model, version).inc(seconds)

    def flush(self) -> None:
        """Count everything that was noted."""
        observations, self._observations = self._observations, {}
        requests, self._timings = self._timings, []
        self._bytes = 0
        for classifier, batches in observations.items():
            self._count(classifier, Observation.concatenate(batches).sound())
        for name in REPORTED_STAGES if requests else ():
            seconds = np.array([getattr(timings, name) for timings in requests])
            self._metrics.stages.labels(name).observe_all(seconds)
        self._count_runs(requests)

    def _count_runs(self, requests: Sequence[Timings]) -> None:
        """Count runs of graphs by model and images; a request to several models shares its time by images."""
        counts: Counter[tuple[Classifier, int]] = Counter()
        sums: dict[tuple[Classifier, int, str], float] = defaultdict(float)
        last: dict[Classifier, float] = {}
        for request in requests:
            images = sum(run.images for run in request.runs)
            for run in request.runs:
                key, share = (run.classifier, run.images), run.images / images
                counts[key] += 1
                sums[*key, "queue"] += request.wait * share
                sums[*key, "input"] += (request.decode + request.fit) * share
                sums[*key, "infer"] += run.seconds
                sums[*key, "output"] += request.answer * share
                last[run.classifier] = run.ended
        for (classifier, size), count in counts.items():
            self._metrics.batches.labels(*_labels(classifier), size).inc(count)
        for (classifier, size, stage), seconds in sums.items():
            self._metrics.batch_seconds.labels(*_labels(classifier), size, stage).inc(seconds)
        for classifier, ended in last.items():
            self._metrics.last_run.labels(*_labels(classifier)).set(ended)

    def _count(self, classifier: Classifier, observed: Observation) -> None:
        metrics, card, probabilities = self._metrics, classifier.card, observed.outputs.probabilities
        labels = _labels(classifier)
        for index, count in enumerate(card.decide(probabilities).sum(0).tolist()):
            if count:
                metrics.predictions.labels(*labels, card.labels[index]).inc(count)
        metrics.top_probability.labels(*labels).observe_all(probabilities.max(1))
        metrics.entropy.labels(*labels).observe_all(card.decision.entropies(probabilities))
        metrics.set_size.labels(*labels).observe_all(card.sets(probabilities).sum(1))
        metrics.brightness.labels(*labels).observe_all(observed.brightness())
        novel = card.novel(observed.outputs.novelty)
        if novel is not None:
            metrics.novel.labels(*labels).inc(sum(novel))


def _labels(classifier: Classifier) -> tuple[str, str]:
    """Return the values of MODEL_LABELS."""
    return classifier.card.name, classifier.card.version
