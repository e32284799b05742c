"""The gauges of loaded and refused models, and of the references in their cards."""

import os

import pytest
from cards import without_novelty
from prometheus_client import CollectorRegistry

from serving.repository.repository import Repository
from serving.telemetry.model_gauges import ModelGauges, ReferenceGauges


@pytest.fixture
def sample():
    """Return a reader of the gauges of a repository."""

    def read(repository, name, **labels):
        registry = CollectorRegistry()
        registry.register(ModelGauges(repository))
        return registry.get_sample_value(f"thimble_model_{name}", labels)

    return read


def test_a_loaded_version_has_a_gauge_with_its_digest(folder, forge, sample):
    forge("garments/1")
    forge("garments/2")
    repository = Repository(folder)
    digest = repository.named("garments").digest

    assert sample(repository, "loaded", model="garments", version="2", digest=digest) == 1
    assert sample(repository, "loaded", model="garments", version="1", digest=digest) is None


def test_a_refused_version_has_a_gauge(folder, forge, sample):
    forge("garments/1")
    os.truncate(forge("garments/2"), 100)
    repository = Repository(folder)

    assert sample(repository, "refused", model="garments", version="2") == 1
    assert sample(repository, "refused", model="garments", version="1") is None


def test_an_unloaded_model_is_neither_loaded_nor_refused(folder, forge, sample):
    forge("garments/1")
    repository = Repository(folder)
    digest = repository.named("garments").digest
    repository.unload("garments")

    assert sample(repository, "loaded", model="garments", version="1", digest=digest) is None
    assert sample(repository, "refused", model="garments", version="1") is None


def test_the_references_are_those_of_the_cards(models):
    repository = Repository(models)
    registry = CollectorRegistry()
    registry.register(ReferenceGauges(repository))
    card = repository.named("fashion-mlp").card
    model = {"model": "fashion-mlp", "version": "2"}

    def sample(name, **more):
        return registry.get_sample_value(f"thimble_reference_{name}", model | more)

    assert [sample("label_share", label=label) for label in card.labels] == card.reference.labels
    assert sample("brightness_mean") == card.reference.brightness.mean
    assert sample("top_probability_spread") == card.reference.top_probability.spread
    assert sample("entropy_nats_mean") == card.reference.entropy.mean
    assert sample("set_size_mean") == card.metrics.set_size
    assert sample("novel_share") == card.novelty.share


def test_optional_references_are_left_out(forge, folder):
    reference = {
        "labels": [0.1] * 10,
        "brightness": {"mean": 0.3, "spread": 0.1},
        "top_probability": {"mean": 0.9, "spread": 0.1},
    }
    forge("plain/1", reference=reference, edit=without_novelty)
    registry = CollectorRegistry()
    registry.register(ReferenceGauges(Repository(folder)))
    labels = {"model": "plain", "version": "1"}

    assert registry.get_sample_value("thimble_reference_brightness_mean", labels) == 0.3
    assert registry.get_sample_value("thimble_reference_entropy_nats_mean", labels) is None
    assert registry.get_sample_value("thimble_reference_novel_share", labels) is None
