"""What the answers look like, counted beside what they looked like when the model was made."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from serving.classifier import Classifier, Outputs
from serving.metrics import WHOSE, Metrics
from serving.repository import Repository

AT_ONCE = 128  # images or requests that are counted together: more pixels would not stay in the processor's cache
SMALLEST = 1e-12  # a probability that counts as none, whose logarithm would be infinite


@dataclass
class Stages:
    """How many seconds a request spent on decoding its images, making them inputs, and in the graphs."""

    decode: float = 0.0
    fit: float = 0.0
    infer: float = 0.0

    def header(self) -> str:
        """Return the value of a Server-Timing header, in milliseconds."""
        return f"decode;dur={self.decode * 1e3:.3f}, fit;dur={self.fit * 1e3:.3f}, infer;dur={self.infer * 1e3:.3f}"


class Drift:
    """Counts answers, many at a time: one by one that would take longer than decoding the images.

    So what /metrics says of another worker may be a second old; call tick() that often.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._answers: dict[Classifier, list[tuple[NDArray[np.uint8], Outputs]]] = {}
        self._stages: list[Stages] = []
        self._images = 0

    def observe(self, classifier: Classifier, pixels: NDArray[np.uint8], outputs: Outputs) -> None:
        """Note a batch of inputs [batch, height, width, channels] and the answers to it."""
        self._answers.setdefault(classifier, []).append((pixels, outputs))
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
            pixels = np.concatenate([pixels for pixels, _ in batches])
            self._count(classifier, pixels, _together([outputs for _, outputs in batches]))
        for name in vars(Stages()) if stages else ():
            self._metrics.stages.labels(name).observe_all(np.array([getattr(stage, name) for stage in stages]))

    def _count(self, classifier: Classifier, pixels: NDArray[np.uint8], outputs: Outputs) -> None:
        metrics, card, probabilities = self._metrics, classifier.card, outputs.probabilities
        whose = card.name, card.version
        for index, count in enumerate(np.bincount(probabilities.argmax(1)).tolist()):
            if count:
                metrics.predictions.labels(*whose, card.labels[index]).inc(count)
        entropies = -(probabilities * np.log(np.maximum(probabilities, SMALLEST))).sum(1)
        metrics.top_probability.labels(*whose).observe_all(probabilities.max(1))
        metrics.entropy.labels(*whose).observe_all(entropies)
        metrics.set_size.labels(*whose).observe_all(card.conformal.own.sets(probabilities).sum(1))
        brightness = pixels.reshape(len(pixels), -1).sum(1, dtype=np.uint32) / (255 * pixels[0].size)
        metrics.brightness.labels(*whose).observe_all(brightness)
        novel = classifier.novel(outputs)
        if novel is not None:
            metrics.novel.labels(*whose).inc(int(novel.sum()))


def _together(batches: Sequence[Outputs]) -> Outputs:
    probabilities = np.concatenate([outputs.probabilities for outputs in batches])
    novelties = [outputs.novelty for outputs in batches if outputs.novelty is not None]
    return Outputs(probabilities, np.concatenate(novelties) if novelties else None)


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
