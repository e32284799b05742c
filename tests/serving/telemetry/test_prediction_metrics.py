"""The counts and distributions of predictions."""

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from serving.inference.timings import ModelRun, Timings
from serving.model.classifier import Classifier
from serving.telemetry.metrics import Metrics
from serving.telemetry.prediction_metrics import PredictionMetrics

MODEL, OTHER = {"model": "fashion-mlp", "version": "2"}, {"model": "cifar-cnn", "version": "2"}


@pytest.fixture(scope="module")
def classifier(models):
    return Classifier.open(models / "fashion-mlp" / "2" / "model.onnx")


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def counted(classifier, registry):
    """Count 50 images of noise; return the images and their outputs."""
    pixels = np.random.default_rng(0).integers(0, 256, (50, 28, 28, 1), np.uint8)
    outputs = classifier.run(pixels)
    predictions = PredictionMetrics(Metrics(registry))
    predictions.on_batch(classifier, pixels, outputs)
    predictions.flush()
    return pixels, outputs


def test_each_image_is_counted_once_under_its_predicted_label(classifier, registry, counted):
    _, outputs = counted

    for index, label in enumerate(classifier.card.labels):
        found = registry.get_sample_value("thimble_predictions_total", {**MODEL, "label": label})
        assert (found or 0) == (outputs.probabilities.argmax(1) == index).sum()


def test_histograms_add_up_to_the_answers(classifier, registry, counted):
    pixels, outputs = counted
    probabilities = outputs.probabilities.astype(float)
    sums = {
        "thimble_top_probability": probabilities.max(1).sum(),
        "thimble_entropy_nats": -(probabilities * np.log(np.maximum(probabilities, 1e-12))).sum(),
        "thimble_set_size": classifier.card.conformal.default.sets(outputs.probabilities).sum(),
        "thimble_brightness": (pixels.mean((1, 2, 3)) / 255).sum(),
    }

    for name, expected in sums.items():
        assert registry.get_sample_value(f"{name}_sum", MODEL) == pytest.approx(expected, rel=1e-4)
        assert registry.get_sample_value(f"{name}_count", MODEL) == 50


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_image_without_probabilities_is_not_counted_and_spoils_no_sum(classifier, registry, value):
    pixels = np.zeros((2, 28, 28, 1), np.uint8)
    outputs = classifier.run(pixels)
    outputs.probabilities[0] = value
    predictions = PredictionMetrics(Metrics(registry))
    predictions.on_batch(classifier, pixels, outputs)
    predictions.flush()

    assert registry.get_sample_value("thimble_top_probability_count", MODEL) == 1
    assert registry.get_sample_value("thimble_top_probability_sum", MODEL) == outputs.probabilities[1].max()


def test_novel_images_are_counted(registry, counted):
    _, outputs = counted

    assert registry.get_sample_value("thimble_novel_total", MODEL) == (outputs.novelty > 0.5).sum() > 40


def test_the_time_of_a_request_to_several_models_is_shared_by_their_images(classifier, models, registry):
    other = Classifier.open(models / "cifar-cnn" / "2" / "model.onnx")
    runs = [ModelRun(classifier, 3, 0.5, 1.0), ModelRun(other, 1, 0.25, 1.0)]
    predictions = PredictionMetrics(Metrics(registry))
    predictions.on_request(Timings(decode=3.0, fit=1.0, wait=8.0, answer=16.0, runs=runs))
    predictions.flush()

    for labels, seconds in (
        (MODEL | {"size": "3"}, (6.0, 3.0, 0.5, 12.0)),
        (OTHER | {"size": "1"}, (2.0, 1.0, 0.25, 4.0)),
    ):
        for stage, expected in zip(("queue", "input", "infer", "output"), seconds, strict=True):
            found = registry.get_sample_value("thimble_internal_batch_seconds_total", labels | {"stage": stage})
            assert found == expected


@pytest.mark.parametrize(("images", "requests"), [(3, 1), (1, 3)])
def test_everything_is_counted_once_enough_images_or_requests_are_noted(classifier, registry, images, requests):
    predictions = PredictionMetrics(Metrics(registry), flush_at=3, flush_bytes=3 * 28 * 28)
    pixels = np.zeros((images, 28, 28, 1), np.uint8)
    predictions.on_batch(classifier, pixels, classifier.run(pixels))

    for _ in range(requests):
        assert registry.get_sample_value("thimble_brightness_count", MODEL) is None
        predictions.on_request(Timings(decode=0.5))

    assert registry.get_sample_value("thimble_brightness_count", MODEL) == images
    assert registry.get_sample_value("thimble_stage_seconds_sum", {"stage": "decode"}) == 0.5 * requests
