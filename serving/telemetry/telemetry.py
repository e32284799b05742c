"""Everything that the service measures of itself, wired together: the predictor's observer."""

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from serving.errors import Refusal
from serving.inference.predictor import Observer
from serving.inference.timings import Timings
from serving.model.classifier import Classifier, Outputs
from serving.repository.loader import LoadEvent
from serving.repository.repository import Repository
from serving.settings import shared_folder
from serving.telemetry.dropped_lines import DroppedLines
from serving.telemetry.metrics import DroppedLinesCounter, Metrics, registries
from serving.telemetry.model_gauges import ModelGauges, ReferenceGauges
from serving.telemetry.prediction_metrics import PredictionMetrics
from serving.telemetry.shadow import Shadow
from serving.telemetry.triton_statistics import TritonStatistics


class Telemetry(Observer):
    """The instruments, and the registry that /metrics shows."""

    def __init__(self) -> None:
        own, all_workers = registries()
        self.metrics = Metrics(own)
        self.statistics = TritonStatistics(all_workers)
        self.registry = CollectorRegistry()
        self.registry.register(self.statistics)
        self.dropped_lines = DroppedLines(shared_folder())
        self.registry.register(DroppedLinesCounter(self.dropped_lines))
        self._predictions = PredictionMetrics(self.metrics)
        self._shadow: Shadow | None = None

    def on_load(self, event: LoadEvent) -> None:
        """Count a model file that was opened."""
        self.metrics.loads.labels(event.name, "loaded" if event.digest else "refused").inc()

    def attach(self, repository: Repository) -> None:
        """Show the gauges of this repository's models, and run its shadows."""
        self.registry.register(ReferenceGauges(repository))
        self.registry.register(ModelGauges(repository))
        self._shadow = Shadow(repository, self.metrics)

    def on_batch(self, classifier: Classifier, pixels: NDArray[np.uint8], outputs: Outputs, seconds: float) -> None:
        """Note a batch, for the metrics and for its model's shadow."""
        self._predictions.on_batch(classifier, pixels, outputs)
        if self._shadow:
            self._shadow.on_batch(classifier, pixels, outputs, seconds)

    def on_decoding_ended(self, reason: str) -> None:
        """Count an image whose decoding was given up."""
        self.metrics.decoding_ended.labels(reason).inc()

    def on_request(self, timings: Timings) -> None:
        """Note an answered request."""
        self._predictions.on_request(timings)

    def on_refusal(self, model: str, version: str, refusal: Refusal, seconds: float) -> None:
        """Count a refused request that named a model."""
        self._predictions.on_refusal(model, version, refusal, seconds)

    def flush(self) -> None:
        """Count everything that was noted."""
        self._predictions.flush()

    def tick(self) -> None:
        """Count everything that was noted, and start to compare shadows; call it about once a second."""
        self.flush()
        if self._shadow:
            self._shadow.tick()
