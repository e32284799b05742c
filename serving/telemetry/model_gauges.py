"""What runs, what is loaded and what was refused, as gauges of the worker that is asked."""

from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

from serving.repository.repository import Repository
from serving.telemetry.metrics import WHOSE
from serving.version import versions


class Inventory(Collector):
    """Gauges that are read anew from the repository."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._build = InfoMetricFamily("thimble_build", "The versions of what runs.", value=versions())

    def collect(self) -> Iterator[Metric]:
        """Yield a 1 for each version that is loaded, one for each that was refused, and what this is."""
        loaded = GaugeMetricFamily("thimble_model_loaded", "A version that is loaded.", labels=(*WHOSE, "digest"))
        refused = GaugeMetricFamily("thimble_model_refused", "A version whose file was refused.", labels=WHOSE)
        for model in self._repository.models.values():
            for version in model.files.values():
                if version.classifier:
                    loaded.add_metric((model.name, version.number, version.classifier.digest), 1)
                if version.reason and not model.unloaded:
                    refused.add_metric((model.name, version.number), 1)
        yield from (loaded, refused, self._build)
