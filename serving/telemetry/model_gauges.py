"""Gauges of the models in the worker that is asked: what is loaded, what was refused, and the cards' references."""

import platform
from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

from serving.model.classifier import Classifier
from serving.model.runtime import onnxruntime
from serving.repository.repository import Repository
from serving.telemetry.metrics import MODEL_LABELS
from serving.version import installed_version


class ModelGauges(Collector):
    """Reads the gauges anew from the repository at each collection."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        versions = {
            "version": installed_version(),
            "onnxruntime": onnxruntime.__version__,
            "python": platform.python_version(),
        }
        self._build = InfoMetricFamily("thimble_build", "Versions of the software.", value=versions)

    def collect(self) -> Iterator[Metric]:
        """Yield a 1 for each loaded version, one for each refused version, and the software's versions."""
        loaded = GaugeMetricFamily(
            "thimble_model_loaded", "A version that is loaded.", labels=(*MODEL_LABELS, "digest")
        )
        refused = GaugeMetricFamily("thimble_model_refused", "A version whose file was refused.", labels=MODEL_LABELS)
        for model in self._repository.models.values():
            for version in model.files.values():
                if version.classifier:
                    loaded.add_metric((model.name, version.number, version.classifier.digest), 1)
                if version.reason and not model.unloaded:
                    refused.add_metric((model.name, version.number), 1)
        yield from (loaded, refused, self._build)


class ReferenceGauges(Collector):
    """The references in the cards of ready models: of validation images; for set sizes and novelty, of test images."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the gauges."""
        shares = GaugeMetricFamily(
            "thimble_reference_label_share",
            "Share of reference images by predicted label.",
            labels=(*MODEL_LABELS, "label"),
        )
        families: dict[str, GaugeMetricFamily] = {}
        for classifier in self._repository.ready():
            card = classifier.card
            for label, share in zip(card.labels, card.reference.labels, strict=True):
                shares.add_metric((card.name, card.version, label), share)
            for name, value in _reference_values(classifier).items():
                family = GaugeMetricFamily(f"thimble_reference_{name}", "As in the model's card.", labels=MODEL_LABELS)
                families.setdefault(name, family).add_metric((card.name, card.version), value)
        yield shares
        yield from families.values()


def _reference_values(classifier: Classifier) -> dict[str, float]:
    card = classifier.card
    spreads = {"brightness": card.reference.brightness, "top_probability": card.reference.top_probability}
    if card.reference.entropy:
        spreads["entropy_nats"] = card.reference.entropy
    values = {f"{name}_mean": spread.mean for name, spread in spreads.items()}
    values |= {f"{name}_spread": spread.spread for name, spread in spreads.items()}
    values["set_size_mean"] = card.metrics.set_size
    if card.novelty:
        values["novel_share"] = card.novelty.share
    return values
