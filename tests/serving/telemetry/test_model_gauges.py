"""What is loaded and what was refused, as an operator's machinery reads it."""

import os

import pytest
from prometheus_client import CollectorRegistry

from serving.repository.repository import Repository
from serving.telemetry.model_gauges import Inventory


@pytest.fixture
def sample(folder):
    """Return a reader of the gauges of the folder's models."""

    def read(repository, name, **labels):
        registry = CollectorRegistry()
        registry.register(Inventory(repository))
        return registry.get_sample_value(f"thimble_model_{name}", labels)

    return read


def test_what_is_loaded_is_named_with_its_digest(folder, forge, sample):
    forge("garments/1")
    forge("garments/2")
    repository = Repository(folder)
    digest = repository.named("garments").digest

    assert sample(repository, "loaded", model="garments", version="2", digest=digest) == 1
    assert sample(repository, "loaded", model="garments", version="1", digest=digest) is None


def test_what_was_refused_is_named(folder, forge, sample):
    forge("garments/1")
    os.truncate(forge("garments/2"), 100)
    repository = Repository(folder)

    assert sample(repository, "refused", model="garments", version="2") == 1
    assert sample(repository, "refused", model="garments", version="1") is None


def test_an_unloaded_model_is_neither(folder, forge, sample):
    forge("garments/1")
    repository = Repository(folder)
    digest = repository.named("garments").digest
    repository.unload("garments")

    assert sample(repository, "loaded", model="garments", version="1", digest=digest) is None
    assert sample(repository, "refused", model="garments", version="1") is None
