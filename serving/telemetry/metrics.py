"""The Prometheus instruments: of requests, of predictions (so that drift from the reference shows), and of models."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, values
from prometheus_client.core import CounterMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from serving.settings import shared_folder
from serving.telemetry.dropped_lines import DroppedLines

MODEL_LABELS = ("model", "version")
SHADOW_LABELS = ("model", "version", "shadow")
DROPPED_LABELS = ("model", "shadow", "reason")
INTERNAL_PREFIX = "internal_"  # of the instruments that only serving.telemetry.triton_statistics reads
# The upper bounds of histograms' buckets.
TENTHS = tuple(tenth / 10 for tenth in range(1, 10))
PROBABILITIES = (*TENTHS, 0.95, 0.99, 1.0)
PROBABILITY_DIFFERENCES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
NATS = (0.01, 0.05, 0.1, 0.2, 0.5, 1.0, 1.5, 2.0, 3.0)
SET_SIZES = (1, 2, 3, 4, 5, 7, 10, 20, 50, 100)
SECONDS_BUCKETS = (0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)


class Distribution(Histogram):
    """A histogram that observes many values at once: one after another, each would cost as much."""

    def observe_all(self, values: NDArray[np.floating | np.integer]) -> None:
        """Observe each of these values [n]; a value on a bound belongs to the bucket below it, as in Prometheus."""
        counts = np.bincount(np.searchsorted(self._upper_bounds, values))
        for bucket, count in zip(self._buckets, counts.tolist(), strict=False):
            if count:
                bucket.inc(count)
        self._sum.inc(float(values.sum()))


class Metrics:
    """All instruments, most of them by model and version. They keep no image, nor anything to rebuild one from."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register the instruments."""
        self._registry = registry
        self.requests = self._counter(
            "requests", "Requests by the model that answered and the status.", *MODEL_LABELS, "status"
        )
        self.refusals = self._counter("refusals", "Refused requests, by code.", "code")
        self.decoding_ended = self._counter("decoding_ended", "Images whose decoding was given up.", "reason")
        self.stages = self._histogram("stage_seconds", "A request's time by stage.", SECONDS_BUCKETS, "stage")
        self.loads = self._counter("model_loads", "Files opened: loaded or refused.", "model", "result")
        self._add_predictions()
        self._add_runs()
        self._add_shadows()

    def _add_predictions(self) -> None:
        """Add what shows the distribution of predictions."""
        self.predictions = self._counter("predictions", "Images by predicted label.", *MODEL_LABELS, "label")
        self.novel = self._counter("novel", "Images flagged as unlike the training data.", *MODEL_LABELS)
        self.top_probability = self._histogram(
            "top_probability", "Probability of the predicted label.", PROBABILITIES, *MODEL_LABELS
        )
        self.entropy = self._histogram("entropy_nats", "Entropy of the probabilities, in nats.", NATS, *MODEL_LABELS)
        self.set_size = self._histogram(
            "set_size", "Labels in the set at the card's coverage.", SET_SIZES, *MODEL_LABELS
        )
        self.brightness = self._histogram(
            "brightness", "Mean brightness of the model's input, 0 to 1.", TENTHS, *MODEL_LABELS
        )

    def _add_runs(self) -> None:
        """Add what serving.telemetry.triton_statistics reads."""
        self.batches = self._counter(f"{INTERNAL_PREFIX}batches", "Runs of a graph, by images.", *MODEL_LABELS, "size")
        self.batch_seconds = self._counter(
            f"{INTERNAL_PREFIX}batch_seconds", "Their time by stage.", *MODEL_LABELS, "size", "stage"
        )
        self.failures = self._counter(
            f"{INTERNAL_PREFIX}failures", "Refused requests that named a model.", *MODEL_LABELS, "reason"
        )
        self.failure_seconds = self._counter(
            f"{INTERNAL_PREFIX}failure_seconds", "Seconds that those took.", *MODEL_LABELS
        )
        name = f"thimble_{INTERNAL_PREFIX}last"
        self.last_run = Gauge(name, "When a graph ran.", MODEL_LABELS, registry=self._registry, multiprocess_mode="max")

    def _add_shadows(self) -> None:
        self.shadow_images = self._counter("shadow_images", "Images compared.", *SHADOW_LABELS)
        self.shadow_agreements = self._counter(
            "shadow_agreements", "Images that both predicted the same label for.", *SHADOW_LABELS
        )
        self.shadow_dropped = self._counter("shadow_dropped", "Images not compared: full, or failed.", *DROPPED_LABELS)
        self.shadow_difference = self._histogram(
            "shadow_difference",
            "An image's largest difference in probability.",
            PROBABILITY_DIFFERENCES,
            *SHADOW_LABELS,
        )
        self.shadow_seconds = self._histogram(
            "shadow_seconds", "A batch's time, by both.", SECONDS_BUCKETS, *SHADOW_LABELS, "by"
        )

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"thimble_{name}", meaning, labels, registry=self._registry)

    def _histogram(self, name: str, meaning: str, buckets: Sequence[float], *labels: str) -> Distribution:
        return Distribution(f"thimble_{name}", meaning, labels, buckets=buckets, registry=self._registry)


class DroppedLinesCounter(Collector):
    """Reads the number of dropped lines anew at each collection."""

    def __init__(self, dropped_lines: DroppedLines) -> None:
        self._dropped_lines = dropped_lines

    def collect(self) -> Iterator[Metric]:
        """Yield the counter."""
        counter = CounterMetricFamily("thimble_log_dropped_lines", "Log lines dropped: their reader was too slow.")
        counter.add_metric((), self._dropped_lines.total())
        yield counter


def registries() -> tuple[CollectorRegistry, CollectorRegistry]:
    """Return the registry of this process's instruments, and the one to read all workers' values from."""
    own = CollectorRegistry()
    if shared_folder() is None:
        values.ValueClass = values.MutexValue  # it was chosen in the master, which may have had such a folder
        return own, own
    everyone = CollectorRegistry()
    MultiProcessCollector(everyone)  # type: ignore[no-untyped-call]
    return own, everyone
