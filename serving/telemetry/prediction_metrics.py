"""What the answers look like, counted beside what they looked like when the model was made."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from serving.model.classifier import Classifier, Outputs
from serving.errors import Overloaded, Refusal
from serving.repository.repository import Repository
from serving.telemetry.metrics import WHOSE, Metrics
from serving.inference.timings import SHOWN, Stages

AT_ONCE = 1024  # images or requests that are counted together: enough that each costs next to nothing
REJECTED, OTHER = "REJECTED", "OTHER"  # why a request failed, in Triton's words: too much to do, or anything else
SMALLEST = 1e-12  # a probability that counts as none, whose logarithm would be infinite


class Observed(NamedTuple):
    """A batch of answers, and how bright their inputs were on average, 0 to 1 [batch]."""

    outputs: Outputs
    brightness: NDArray[np.float64]


class Drift:
    """Counts answers, many at a time: one by one that would take longer than decoding the images.

    So what /metrics says of another worker may be a second old; call tick() that often.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._answers: dict[Classifier, list[Observed]] = {}
        self._stages: list[Stages] = []
        self._images = 0

    def observe(self, classifier: Classifier, pixels: NDArray[np.uint8], outputs: Outputs) -> None:
        """Note a batch of inputs [batch, height, width, channels] and the answers to it."""
        # Summed while the pixels are in the processor's cache; all else can wait.
        brightness = pixels.reshape(len(pixels), -1).sum(1, dtype=np.uint32) / (255 * pixels[0].size)
        self._answers.setdefault(classifier, []).append(Observed(outputs, brightness))
        self._images += len(pixels)

    def took(self, stages: Stages) -> None:
        """Note what a request took."""
        self._stages.append(stages)
        if max(self._images, len(self._stages)) >= AT_ONCE:
            self.tick()

    def tick(self) -> None:
        """Count what was noted."""
        answers, self._answers = self._answers, {}
        stages, self._stages = self._stages, []
        self._images = 0
        for classifier, batches in answers.items():
            self._count(classifier, _together(batches))
        for name in SHOWN if stages else ():
            self._metrics.stages.labels(name).observe_all(np.array([getattr(stage, name) for stage in stages]))
        self._count_batches(stages)

    def refused(self, name: str, version: str, refusal: Refusal, seconds: float) -> None:
        """Count a request that named a model and was refused after so many seconds."""
        reason = REJECTED if isinstance(refusal, Overloaded) else OTHER
        self._metrics.failures.labels(name, version, reason).inc()
        self._metrics.failure_seconds.labels(name, version).inc(seconds)

    def _count_batches(self, requests: Sequence[Stages]) -> None:
        """Count runs of graphs by model and images; a request that asked several models shares its time by images."""
        counts: Counter[tuple[Classifier, int]] = Counter()
        sums: dict[tuple[Classifier, int, str], float] = defaultdict(float)
        last: dict[Classifier, float] = {}
        for request in requests:
            images = sum(batch.images for batch in request.batches)
            for batch in request.batches:
                of, share = (batch.classifier, batch.images), batch.images / images
                counts[of] += 1
                sums[*of, "queue"] += request.wait * share
                sums[*of, "input"] += (request.decode + request.fit) * share
                sums[*of, "infer"] += batch.seconds
                sums[*of, "output"] += request.answer * share
                last[batch.classifier] = batch.ended
        for (classifier, size), count in counts.items():
            self._metrics.batches.labels(*_whose(classifier), size).inc(count)
        for (classifier, size, stage), seconds in sums.items():
            self._metrics.batch_seconds.labels(*_whose(classifier), size, stage).inc(seconds)
        for classifier, ended in last.items():
            self._metrics.last.labels(*_whose(classifier)).set(ended)

    def _count(self, classifier: Classifier, observed: Observed) -> None:
        metrics, card, probabilities = self._metrics, classifier.card, observed.outputs.probabilities
        whose = _whose(classifier)
        for index, count in enumerate(np.bincount(probabilities.argmax(1)).tolist()):
            if count:
                metrics.predictions.labels(*whose, card.labels[index]).inc(count)
        entropies = -(probabilities * np.log(np.maximum(probabilities, SMALLEST))).sum(1)
        metrics.top_probability.labels(*whose).observe_all(probabilities.max(1))
        metrics.entropy.labels(*whose).observe_all(entropies)
        metrics.set_size.labels(*whose).observe_all(card.conformal.default.sets(probabilities).sum(1))
        metrics.brightness.labels(*whose).observe_all(observed.brightness)
        novel = classifier.novel(observed.outputs)
        if novel is not None:
            metrics.novel.labels(*whose).inc(sum(novel))


def _whose(classifier: Classifier) -> tuple[str, str]:
    return classifier.card.name, classifier.card.version


def _together(batches: Sequence[Observed]) -> Observed:
    probabilities = np.concatenate([batch.outputs.probabilities for batch in batches])
    novelties = [batch.outputs.novelty for batch in batches if batch.outputs.novelty is not None]
    outputs = Outputs(probabilities, np.concatenate(novelties) if novelties else None)
    return Observed(outputs, np.concatenate([batch.brightness for batch in batches]))


class References(Collector):
    """Gauges of what each ready model's card says of the images that it was calibrated on."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the gauges, read anew from the cards."""
        shares = GaugeMetricFamily(
            "thimble_reference_label_share", "Share of reference images by the label given.", labels=(*WHOSE, "label")
        )
        figures: dict[str, GaugeMetricFamily] = {}
        for classifier in self._repository.ready():
            card = classifier.card
            for label, share in zip(card.labels, card.reference.labels, strict=True):
                shares.add_metric((card.name, card.version, label), share)
            for name, value in _figures(classifier).items():
                family = GaugeMetricFamily(f"thimble_reference_{name}", "As in the model's card.", labels=WHOSE)
                figures.setdefault(name, family).add_metric((card.name, card.version), value)
        yield shares
        yield from figures.values()


def _figures(classifier: Classifier) -> dict[str, float]:
    card = classifier.card
    spreads = {"brightness": card.reference.brightness, "top_probability": card.reference.top_probability}
    if card.reference.entropy:
        spreads["entropy_nats"] = card.reference.entropy
    figures = {f"{name}_mean": spread.mean for name, spread in spreads.items()}
    figures |= {f"{name}_spread": spread.spread for name, spread in spreads.items()}
    figures["set_size_mean"] = card.metrics.set_size
    if card.novelty:
        figures["novel_share"] = card.novelty.share
    return figures
