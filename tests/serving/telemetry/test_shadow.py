"""A shadow runs beside a model: it answers no client, and its agreement with the model is counted."""

import numpy as np
import onnx
import pytest
from cards import renew_golden
from prometheus_client import CollectorRegistry
from waiting import until

from serving.concurrency import SerialExecutor
from serving.errors import NoModel
from serving.inference.options import PredictOptions
from serving.inference.predictor import Predictor
from serving.model.classifier import Outputs
from serving.repository.index import Routing
from serving.repository.repository import Repository
from serving.repository.shadow_rules import ShadowRule
from serving.telemetry.metrics import Metrics
from serving.telemetry.shadow import Shadow
from serving.telemetry.telemetry import Telemetry

LABELS = {"model": "garments", "version": "1", "shadow": "garments:2"}
SECOND = ShadowRule("garments", "garments", "2", 1.0)


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def shadowed(folder, registry):
    """Return a maker of a shadow for the models of the folder, and of their repository."""

    def start(rule=SECOND, max_waiting_images=100):
        repository = Repository(folder, routing=Routing(shadow_rules=(rule,)))
        return Shadow(repository, Metrics(registry), max_waiting_images), repository

    return start


@pytest.fixture
def observe():
    """Run a model on noise and tell the shadow, as the predictor does; return inputs and outputs."""

    def observe(shadow, classifier, images=1, times=1):
        shape = images, classifier.height, classifier.width, classifier.channels
        pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        outputs = classifier.run(pixels)
        for _ in range(times):
            shadow.on_batch(classifier, pixels, outputs, 0.25)
        return pixels, outputs

    return observe


@pytest.fixture
def sample(registry):
    return lambda name, **labels: registry.get_sample_value(f"thimble_shadow_{name}", LABELS | labels)


def other_weights(model):
    """Reverse a weight, and record the graph's new answers in its card."""
    weights = model.graph.initializer[0]
    values = onnx.numpy_helper.to_array(weights)
    weights.CopyFrom(onnx.numpy_helper.from_array(np.ascontiguousarray(values[:, ::-1]), weights.name))
    renew_golden(model)


@pytest.fixture
def two_that_differ(forge):
    forge("garments/1")
    forge("garments/2", edit=other_weights)


def test_a_shadow_does_not_answer_even_as_the_highest_version(shadowed, forge):
    forge("garments/1")
    forge("garments/2")

    _, repository = shadowed()

    assert repository.named("garments").card.version == "1"
    assert repository.default(grey=True).card.version == "1"
    assert repository.named("garments", "2").card.version == "2"  # a client that names it gets it
    assert repository.find("garments").reason is None


def test_a_model_whose_only_version_is_its_shadow_cannot_be_served(shadowed, forge):
    forge("garments/2")

    _, repository = shadowed()

    with pytest.raises(NoModel, match="garments: its only version is a shadow's"):
        repository.named("garments")


def test_a_new_shadow_runs_and_a_removed_one_is_reported(shadowed, forge, folder, caplog):
    forge("garments/1")
    _, repository = shadowed()
    missing = "the shadow garments:2 of garments does not run: garments:2 is not loaded"
    assert caplog.text.count(missing) == 1

    path = forge("garments/2")
    repository.poll()
    repository.poll()
    assert repository.pairs[repository.named("garments")].shadow.card.version == "2"

    path.unlink()
    repository.poll()
    repository.poll()
    assert repository.pairs == {}
    assert caplog.text.count(missing) == 2


def test_a_shadow_of_a_missing_model_is_reported(shadowed, forge, caplog):
    forge("shoes/1")

    shadowed(ShadowRule("garments", "shoes", "", 1.0))

    assert "the shadow shoes of garments does not run: no version of garments answers" in caplog.text


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"of": "cifar-cnn"}, "its input is 32 x 32 x 3 by 'photo', not 28 x 28 x 1 by 'garment'"),
        ({"fit": "photo"}, "its input is 28 x 28 x 1 by 'photo', not 28 x 28 x 1 by 'garment'"),
        ({"labels": list("abcdefghij")}, "its labels differ"),
    ],
)
def test_a_shadow_that_cannot_be_compared_is_reported(shadowed, forge, caplog, fields, reason):
    forge("garments/1")
    forge("garments/2", **fields)

    _, repository = shadowed()

    assert f"the shadow garments:2 of garments does not run: {reason}" in caplog.text
    assert repository.pairs == {}


def test_a_copy_agrees_on_every_image(shadowed, forge, observe, sample):
    forge("garments/1")
    forge("garments/2")
    shadow, repository = shadowed()

    observe(shadow, repository.named("garments"), images=20)
    shadow.compare()

    assert sample("images_total") == sample("agreements_total") == 20
    assert sample("difference_sum") == 0
    assert sample("difference_count") == 20
    assert sample("seconds_sum", by="model") == 0.25
    assert sample("seconds_count", by="shadow") == 1
    assert sample("seconds_sum", by="shadow") > 0


@pytest.mark.usefixtures("two_that_differ")
def test_differences_are_counted(shadowed, observe, sample):
    shadow, repository = shadowed()

    pixels, outputs = observe(shadow, repository.named("garments"), images=30)
    shadow.compare()

    others = repository.named("garments", "2").classify(pixels)
    agreements = (others.argmax(1) == outputs.probabilities.argmax(1)).sum()
    assert sample("agreements_total") == agreements < sample("images_total") == 30
    assert sample("difference_sum") == pytest.approx(np.abs(others - outputs.probabilities).max(1).sum(), rel=1e-5)


def test_a_nan_counts_as_the_largest_difference(shadowed, forge, observe, sample):
    forge("garments/1")
    forge("garments/2")
    shadow, repository = shadowed()
    answering = repository.named("garments")
    pixels = np.zeros((1, 28, 28, 1), np.uint8)

    shadow.on_batch(answering, pixels, Outputs(np.full((1, 10), np.nan, np.float32), None), 0.1)
    shadow.compare()

    assert sample("difference_sum") == 1


def test_a_shadow_may_be_another_model_that_answers_its_own_clients(shadowed, forge, observe, registry):
    forge("garments/1")
    forge("shoes/1")
    forge("shoes/2")
    shadow, repository = shadowed(ShadowRule("garments", "shoes", "", 1.0))

    observe(shadow, repository.named("garments"))
    observe(shadow, repository.named("shoes"))
    shadow.compare()

    labels = {"model": "garments", "version": "1", "shadow": "shoes:2"}
    assert registry.get_sample_value("thimble_shadow_images_total", labels) == 1
    assert repository.named("shoes").card.version == "2"


def test_only_a_share_is_compared(shadowed, forge, observe, sample):
    forge("garments/1")
    forge("garments/2")
    shadow, repository = shadowed(ShadowRule("garments", "garments", "2", 0.1), max_waiting_images=1000)

    observe(shadow, repository.named("garments"), times=1000)
    shadow.compare()

    assert 50 < sample("images_total") < 160  # outside in one of a thousand million runs


def test_images_beyond_the_limit_are_dropped_and_counted(shadowed, forge, observe, sample, registry):
    forge("garments/1")
    forge("garments/2")
    shadow, repository = shadowed(max_waiting_images=10)

    observe(shadow, repository.named("garments"), images=2, times=10)
    shadow.compare()

    dropped = {"model": "garments", "shadow": "garments:2", "reason": "full"}
    assert sample("images_total") == 10
    assert registry.get_sample_value("thimble_shadow_dropped_total", dropped) == 10


def at_most_four_at_a_time(model):
    """Make a graph fail on five images; it passes its four golden samples, one by one and as a batch."""
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(5, np.float32), "lookup"))
    for node in model.graph.node:
        node.output[:] = ["before" if name == "probabilities" else name for name in node.output]
    model.graph.node.extend(
        [
            onnx.helper.make_node("Shape", ["image"], ["size"], start=0, end=1),
            onnx.helper.make_node("Gather", ["lookup", "size"], ["zero"]),
            onnx.helper.make_node("Add", ["before", "zero"], ["probabilities"]),
        ]
    )


def test_a_shadow_that_fails_is_counted_and_reported_once(shadowed, forge, observe, registry, caplog):
    forge("garments/1")
    forge("garments/2", edit=at_most_four_at_a_time)
    shadow, repository = shadowed()

    observe(shadow, repository.named("garments"), images=5, times=3)
    shadow.compare()

    dropped = {"model": "garments", "shadow": "garments:2", "reason": "failed"}
    assert registry.get_sample_value("thimble_shadow_dropped_total", dropped) == 15
    assert caplog.text.count("the shadow garments:2 of garments failed: ") == 1


def test_a_tick_compares_beside_the_event_loop(shadowed, forge, observe, sample):
    forge("garments/1")
    forge("garments/2")
    shadow, repository = shadowed()
    observe(shadow, repository.named("garments"))

    shadow.tick()
    shadow.tick()
    assert sample("images_total") is None
    until(lambda: sample("images_total"))

    assert sample("images_total") == 1


def test_a_client_is_answered_first_and_the_shadow_compared_later(folder, forge, image):
    forge("garments/1")
    forge("garments/2")
    telemetry = Telemetry()
    repository = Repository(folder, routing=Routing(shadow_rules=(SECOND,)), on_load=telemetry.on_load)
    telemetry.attach(repository)
    predictor = Predictor(repository, 10**6, SerialExecutor(5.0), telemetry)

    def sample(name):
        return telemetry.registry.get_sample_value(f"thimble_shadow_{name}", LABELS)

    (answer,) = predictor.predict([image("bag")], PredictOptions()).items

    assert (answer.label, answer.version) == ("Bag", "1")
    assert sample("images_total") is None
    telemetry.tick()
    until(lambda: sample("images_total"))
    assert sample("agreements_total") == 1
