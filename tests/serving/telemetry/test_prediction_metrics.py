"""What is counted of the answers, beside what the cards say they were."""

import numpy as np
import pytest
from cards import without_novelty
from prometheus_client import CollectorRegistry

from serving.model.classifier import Classifier
from serving.repository.repository import Repository
from serving.telemetry.prediction_metrics import Drift, References
from serving.telemetry.metrics import Metrics

WHOSE = {"model": "fashion-mlp", "version": "1"}


@pytest.fixture(scope="module")
def classifier(models):
    return Classifier.open(models / "fashion-mlp" / "1" / "model.onnx")


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def counted(classifier, registry):
    """Count 50 images of noise; returns the images and their outputs."""
    pixels = np.random.default_rng(0).integers(0, 256, (50, 28, 28, 1), np.uint8)
    outputs = classifier.run(pixels)
    drift = Drift(Metrics(registry))
    drift.observe(classifier, pixels, outputs)
    drift.tick()
    return pixels, outputs


def test_each_image_is_counted_once_under_its_label(classifier, registry, counted):
    _, outputs = counted

    for index, label in enumerate(classifier.card.labels):
        found = registry.get_sample_value("thimble_predictions_total", {**WHOSE, "label": label})
        assert (found or 0) == (outputs.probabilities.argmax(1) == index).sum()


def test_histograms_add_up_to_what_was_answered(classifier, registry, counted):
    pixels, outputs = counted
    probabilities = outputs.probabilities.astype(float)
    sums = {
        "thimble_top_probability": probabilities.max(1).sum(),
        "thimble_entropy_nats": -(probabilities * np.log(np.maximum(probabilities, 1e-12))).sum(),
        "thimble_set_size": classifier.card.conformal.default.sets(outputs.probabilities).sum(),
        "thimble_brightness": (pixels.mean((1, 2, 3)) / 255).sum(),
    }

    for name, expected in sums.items():
        assert registry.get_sample_value(f"{name}_sum", WHOSE) == pytest.approx(expected, rel=1e-4)
        assert registry.get_sample_value(f"{name}_count", WHOSE) == 50


def test_images_called_novel_are_counted(registry, counted):
    _, outputs = counted

    assert registry.get_sample_value("thimble_novel_total", WHOSE) == (outputs.novelty > 0.5).sum() > 40


def test_the_references_are_those_of_the_cards(models, registry, classifier):
    registry.register(References(Repository(models)))
    card = classifier.card

    def sample(name, **more):
        return registry.get_sample_value(f"thimble_reference_{name}", WHOSE | more)

    assert [sample("label_share", label=label) for label in card.labels] == card.reference.labels
    assert sample("brightness_mean") == card.reference.brightness.mean
    assert sample("top_probability_spread") == card.reference.top_probability.spread
    assert sample("entropy_nats_mean") == card.reference.entropy.mean
    assert sample("set_size_mean") == card.metrics.set_size
    assert sample("novel_share") == card.novelty.share


def test_a_card_that_says_less_has_fewer_references(forge, folder, registry):
    reference = {
        "labels": [0.1] * 10,
        "brightness": {"mean": 0.3, "spread": 0.1},
        "top_probability": {"mean": 0.9, "spread": 0.1},
    }
    forge("plain/1", reference=reference, edit=without_novelty)
    registry.register(References(Repository(folder)))
    whose = {"model": "plain", "version": "1"}

    assert registry.get_sample_value("thimble_reference_brightness_mean", whose) == 0.3
    assert registry.get_sample_value("thimble_reference_entropy_nats_mean", whose) is None
    assert registry.get_sample_value("thimble_reference_novel_share", whose) is None
