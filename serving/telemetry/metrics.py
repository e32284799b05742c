"""The Prometheus instruments: what the answers look like, so that a drift away from the reference is seen."""

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.multiprocess import MultiProcessCollector

SHARED = "PROMETHEUS_MULTIPROC_DIR"  # set where several workers share their values
WHOSE = ("model", "version")
LEDGER = "ledger_"  # begins the names of what serving.telemetry.triton_statistics reads, behind the service's own
PAIR = ("model", "version", "shadow")
DROPPED = ("model", "shadow", "reason")
TENTHS = tuple(tenth / 10 for tenth in range(1, 10))
PROBABILITIES = (*TENTHS, 0.95, 0.99, 1.0)
DIFFERENCES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
NATS = (0.01, 0.05, 0.1, 0.2, 0.5, 1.0, 1.5, 2.0, 3.0)
SIZES = (1, 2, 3, 4, 5, 7, 10, 20, 50, 100)
SECONDS = (0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)


class Distribution(Histogram):
    """A histogram that takes many values at once: one after another, each would cost as much."""

    def observe_all(self, values: NDArray[np.floating | np.integer]) -> None:
        """Count each of these values [n]."""
        counts = np.bincount(np.searchsorted(self._upper_bounds, values))
        for bucket, count in zip(self._buckets, counts.tolist(), strict=False):
            if count:
                bucket.inc(count)
        self._sum.inc(float(values.sum()))


class Metrics:
    """What is counted, model by model and version by version. No image is kept, nor anything one could be made of."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register the instruments."""

        def counter(name: str, meaning: str, labels: Sequence[str]) -> Counter:
            return Counter(f"thimble_{name}", meaning, labels, registry=registry)

        def histogram(name: str, meaning: str, buckets: Sequence[float], labels: Sequence[str]) -> Distribution:
            return Distribution(f"thimble_{name}", meaning, labels, buckets=buckets, registry=registry)

        self.requests = counter("requests", "Requests by the model that answered and the status.", (*WHOSE, "status"))
        self.refusals = counter("refusals", "Refused requests, by code.", ("code",))
        self.stages = histogram("stage_seconds", "A request's time by stage.", SECONDS, ("stage",))
        # What the answers look like.
        self.predictions = counter("predictions", "Images by the label that they were given.", (*WHOSE, "label"))
        self.novel = counter("novel", "Images that were called unlike the training data.", WHOSE)
        self.top_probability = histogram("top_probability", "Probability of the label given.", PROBABILITIES, WHOSE)
        self.entropy = histogram("entropy_nats", "Entropy of the probabilities, in nats.", NATS, WHOSE)
        self.set_size = histogram("set_size", "Labels in the set that has the card's coverage.", SIZES, WHOSE)
        self.brightness = histogram("brightness", "Mean brightness of the model's input, 0 to 1.", TENTHS, WHOSE)
        # What serving.telemetry.triton_statistics reads.
        self.batches = counter(f"{LEDGER}batches", "Runs of a graph, by images.", (*WHOSE, "size"))
        self.batch_seconds = counter(f"{LEDGER}batch_seconds", "Their time by stage.", (*WHOSE, "size", "stage"))
        self.failures = counter(f"{LEDGER}failures", "Refused requests that named a model.", (*WHOSE, "reason"))
        self.failure_seconds = counter(f"{LEDGER}failure_seconds", "What those took.", WHOSE)
        self.last = Gauge(
            f"thimble_{LEDGER}last", "When a graph ran.", WHOSE, registry=registry, multiprocess_mode="max"
        )
        # Models that come and go, and shadows.
        self.loads = counter("model_loads", "Files opened: loaded or refused.", ("model", "result"))
        self.shadow_images = counter("shadow_images", "Images compared.", PAIR)
        self.shadow_agreements = counter("shadow_agreements", "Images that both gave the same label.", PAIR)
        self.shadow_dropped = counter("shadow_dropped", "Images not compared: full, or failed.", DROPPED)
        self.shadow_difference = histogram(
            "shadow_difference", "An image's largest difference in probability.", DIFFERENCES, PAIR
        )
        self.shadow_seconds = histogram("shadow_seconds", "A batch's time, by both.", SECONDS, (*PAIR, "by"))


def registries() -> tuple[CollectorRegistry, CollectorRegistry]:
    """Return the registry for this process's instruments, and the one to read all workers' values from."""
    own = CollectorRegistry()
    if SHARED not in os.environ:
        return own, own
    everyone = CollectorRegistry()
    MultiProcessCollector(everyone)  # type: ignore[no-untyped-call]
    return own, everyone
