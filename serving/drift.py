"""What the answers look like, counted beside what they looked like when the model was made."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from serving.classifier import Classifier, Outputs
from serving.metrics import WHOSE, Metrics
from serving.repository import Repository

SMALLEST = 1e-12  # a probability that counts as none, whose logarithm would be infinite


def observe(metrics: Metrics, classifier: Classifier, pixels: NDArray[np.uint8], outputs: Outputs) -> None:
    """Count a batch of inputs [batch, height, width, channels] and the answers to it."""
    card, probabilities = classifier.card, outputs.probabilities
    whose = card.name, card.version
    entropies = -(probabilities * np.log(np.maximum(probabilities, SMALLEST))).sum(1)
    figures = {
        metrics.top_probability: probabilities.max(1),
        metrics.entropy: entropies,
        metrics.set_size: card.conformal.own.sets(probabilities).sum(1),
        metrics.brightness: pixels.mean((1, 2, 3)) / 255,
    }
    for histogram, values in figures.items():
        observed = histogram.labels(*whose)
        for value in values.tolist():
            observed.observe(value)
    for index, count in zip(*np.unique(probabilities.argmax(1), return_counts=True), strict=True):
        metrics.predictions.labels(*whose, card.labels[index]).inc(count)
    if (novel := classifier.novel(outputs)) is not None:
        metrics.novel.labels(*whose).inc(int(novel.sum()))


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
