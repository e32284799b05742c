"""The Prometheus instruments: what the answers look like, so that a drift away from the reference is seen."""

import os
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.multiprocess import MultiProcessCollector

SHARED = "PROMETHEUS_MULTIPROC_DIR"  # set where several workers share their values
WHOSE = ("model", "version")
LEDGER = "thimble_ledger_"  # begins the names of what serving.statistics reads
PAIR = ("model", "version", "shadow")
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

        def histogram(name: str, meaning: str, buckets: Sequence[float]) -> Distribution:
            return Distribution(f"thimble_{name}", meaning, WHOSE, buckets=buckets, registry=registry)

        def counter(name: str, meaning: str, labels: Sequence[str]) -> Counter:
            return Counter(f"{LEDGER}{name}", meaning, labels, registry=registry)

        self.predictions = Counter(
            "thimble_predictions", "Images by the label that they were given.", (*WHOSE, "label"), registry=registry
        )
        self.novel = Counter(
            "thimble_novel", "Images that were called unlike the training data.", WHOSE, registry=registry
        )
        self.requests = Counter(
            "thimble_requests",
            "Requests by the model that answered, if one did, and the status.",
            (*WHOSE, "status"),
            registry=registry,
        )
        self.refusals = Counter("thimble_refusals", "Refused requests, by code.", ("code",), registry=registry)
        self.stages = Distribution(
            "thimble_stage_seconds",
            "A request's time by stage.",
            ("stage",),
            buckets=SECONDS,
            registry=registry,
        )
        self.batches = counter("batches", "Runs of a graph, by images.", (*WHOSE, "size"))
        self.batch_seconds = counter("batch_seconds", "What those took, by stage.", (*WHOSE, "size", "stage"))
        self.failures = counter("failures", "Refused requests that named a model.", (*WHOSE, "reason"))
        self.failure_seconds = counter("failure_seconds", "What those took.", WHOSE)
        self.last = Gauge(
            f"{LEDGER}last", "When a graph last ran, as Unix time.", WHOSE, registry=registry, multiprocess_mode="max"
        )
        self.loads = Counter(
            "thimble_model_loads",
            "Files opened: loaded or refused.",
            ("model", "result"),
            registry=registry,
        )
        self.shadow_images = Counter("thimble_shadow_images", "Images compared.", PAIR, registry=registry)
        self.shadow_agreements = Counter(
            "thimble_shadow_agreements", "Images that both gave the same label.", PAIR, registry=registry
        )
        self.shadow_dropped = Counter(
            "thimble_shadow_dropped",
            "Images not compared: full, since too many waited, or failed.",
            ("model", "shadow", "reason"),
            registry=registry,
        )
        self.shadow_difference = Distribution(
            "thimble_shadow_difference",
            "An image's largest difference between both's probabilities of a label.",
            PAIR,
            buckets=DIFFERENCES,
            registry=registry,
        )
        self.shadow_seconds = Distribution(
            "thimble_shadow_seconds",
            "What one batch took, by the model and by its shadow.",
            (*PAIR, "by"),
            buckets=SECONDS,
            registry=registry,
        )
        self.top_probability = histogram("top_probability", "Probability of the label given.", PROBABILITIES)
        self.entropy = histogram("entropy_nats", "Entropy of the probabilities, in nats.", NATS)
        self.set_size = histogram("set_size", "Labels in the set that holds the truth at the card's coverage.", SIZES)
        self.brightness = histogram("brightness", "Mean brightness of what the model saw, from 0 to 1.", TENTHS)


def registries() -> tuple[CollectorRegistry, CollectorRegistry]:
    """Return the registry for this process's instruments, and the one to read all workers' values from."""
    own = CollectorRegistry()
    if SHARED not in os.environ:
        return own, own
    everyone = CollectorRegistry()
    MultiProcessCollector(everyone)  # type: ignore[no-untyped-call]
    return own, everyone
