"""A second model beside the first: it answers nobody, and what it would have said is counted."""

import numpy as np
import onnx
import pytest
from prometheus_client import CollectorRegistry

from serving.inference.predictor import Desk
from serving.concurrency import OneByOne
from serving.model.classifier import Outputs
from serving.errors import NoModel
from serving.inference.options import Question
from serving.repository.repository import Repository
from serving.repository.shadow_rules import Shade
from serving.telemetry.prediction_metrics import Drift
from serving.telemetry.metrics import Metrics
from serving.telemetry.shadow import MOST, Shadow

WHOSE = {"model": "garments", "version": "1", "shadow": "garments:2"}
SECOND = Shade("garments", "garments", "2", 1.0)


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def shadowed(folder, registry):
    """Return a starter of a shadow beside the models of the folder, with the repository that it reads."""

    def start(shade=SECOND):
        repository = Repository(folder, shades=(shade,))
        return Shadow(repository, Metrics(registry)), repository

    return start


@pytest.fixture
def observe():
    """Have images of noise answered by a model and observed, as the desk does it; returns the outputs."""

    def observe(shadow, classifier, images=1, times=1):
        shape = images, classifier.height, classifier.width, classifier.channels
        pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        outputs = classifier.run(pixels)
        for _ in range(times):
            shadow.observe(classifier, pixels, outputs, 0.25)
        return pixels, outputs

    return observe


@pytest.fixture
def sample(registry):
    return lambda name, **labels: registry.get_sample_value(f"thimble_shadow_{name}", WHOSE | labels)


def other_weights(model):
    """Make a graph answer otherwise, and its card expect nothing else."""
    weights = model.graph.initializer[0]
    values = onnx.numpy_helper.to_array(weights)
    weights.CopyFrom(onnx.numpy_helper.from_array(np.ascontiguousarray(values[:, ::-1]), weights.name))


@pytest.fixture
def two_that_differ(forge, monkeypatch):
    monkeypatch.setattr("serving.model.classifier.GOLDEN_TOLERANCE", 1.0)
    forge("garments/1")
    forge("garments/2", edit=other_weights)


def test_a_shadow_does_not_answer_though_it_is_the_highest_version(shadowed, forge):
    forge("garments/1")
    forge("garments/2")

    _, repository = shadowed()

    assert repository.named("garments").card.version == "1"
    assert repository.default(grey=True).card.version == "1"
    assert repository.named("garments", "2").card.version == "2"  # whoever names it gets it
    assert repository.find("garments").reason is None


def test_a_model_with_none_but_a_shadow_cannot_be_served(shadowed, forge):
    forge("garments/2")

    _, repository = shadowed()

    with pytest.raises(NoModel, match="garments: no version in it but a shadow's"):
        repository.named("garments")


def test_a_shadow_that_comes_later_is_taken_up_and_one_that_goes_is_reported(shadowed, forge, folder, caplog):
    forge("garments/1")
    _, repository = shadowed()
    missing = "no shadow garments:2 of garments: garments:2 is not loaded"
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


def test_a_shadow_of_a_model_that_is_not_there_is_reported(shadowed, forge, caplog):
    forge("shoes/1")

    shadowed(Shade("garments", "shoes", "", 1.0))

    assert "no shadow shoes of garments: no version of garments answers" in caplog.text


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"of": "cifar-cnn"}, "its input is 32 x 32 x 3 by 'photo', not 28 x 28 x 1 by 'garment'"),
        ({"fit": "photo"}, "its input is 28 x 28 x 1 by 'photo', not 28 x 28 x 1 by 'garment'"),
        ({"labels": list("abcdefghij")}, "its labels are others"),
    ],
)
def test_a_shadow_that_cannot_be_compared_is_reported(shadowed, forge, caplog, fields, reason):
    forge("garments/1")
    forge("garments/2", **fields)

    _, repository = shadowed()

    assert f"no shadow garments:2 of garments: {reason}" in caplog.text
    assert repository.pairs == {}


def test_a_copy_agrees_in_everything(shadowed, forge, observe, sample):
    forge("garments/1")
    forge("garments/2")
    shadow, repository = shadowed()

    observe(shadow, repository.named("garments"), images=20)
    shadow.round()

    assert sample("images_total") == sample("agreements_total") == 20
    assert sample("difference_sum") == 0
    assert sample("difference_count") == 20
    assert sample("seconds_sum", by="model") == 0.25
    assert sample("seconds_count", by="shadow") == 1
    assert sample("seconds_sum", by="shadow") > 0


@pytest.mark.usefixtures("two_that_differ")
def test_what_differs_is_counted_as_it_is(shadowed, observe, sample):
    shadow, repository = shadowed()

    pixels, outputs = observe(shadow, repository.named("garments"), images=30)
    shadow.round()

    others = repository.named("garments", "2").classify(pixels)
    agreements = (others.argmax(1) == outputs.probabilities.argmax(1)).sum()
    assert sample("agreements_total") == agreements < sample("images_total") == 30
    assert sample("difference_sum") == pytest.approx(np.abs(others - outputs.probabilities).max(1).sum(), rel=1e-5)


def test_an_answer_that_is_no_number_differs_by_all_there_is(shadowed, forge, observe, sample):
    forge("garments/1")
    forge("garments/2")
    shadow, repository = shadowed()
    answering = repository.named("garments")
    pixels = np.zeros((1, 28, 28, 1), np.uint8)

    shadow.observe(answering, pixels, Outputs(np.full((1, 10), np.nan, np.float32), None), 0.1)
    shadow.round()

    assert sample("difference_sum") == 1


def test_another_model_may_be_the_shadow_and_answers_its_own_clients(shadowed, forge, observe, registry):
    forge("garments/1")
    forge("shoes/1")
    forge("shoes/2")
    shadow, repository = shadowed(Shade("garments", "shoes", "", 1.0))

    observe(shadow, repository.named("garments"))
    observe(shadow, repository.named("shoes"))
    shadow.round()

    whose = {"model": "garments", "version": "1", "shadow": "shoes:2"}
    assert registry.get_sample_value("thimble_shadow_images_total", whose) == 1
    assert repository.named("shoes").card.version == "2"


def test_only_a_share_is_compared(shadowed, forge, observe):
    forge("garments/1")
    forge("garments/2")
    shadow, repository = shadowed(Shade("garments", "garments", "2", 0.1))

    observe(shadow, repository.named("garments"), times=1000)

    assert 50 < len(shadow._waiting) < 160  # one in a thousand million runs is outside


def test_what_is_too_much_is_dropped_and_counted(shadowed, forge, observe, sample, registry):
    forge("garments/1")
    forge("garments/2")
    shadow, repository = shadowed()

    observe(shadow, repository.named("garments"), images=2, times=MOST)
    shadow.round()

    dropped = {"model": "garments", "shadow": "garments:2", "reason": "full"}
    assert sample("images_total") == MOST
    assert registry.get_sample_value("thimble_shadow_dropped_total", dropped) == MOST


def one_at_a_time(model):
    """Make a graph that takes its golden samples, which come one by one, and fails on two."""
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1, 784]), "one"))
    first = next(node for node in model.graph.node if node.op_type in {"Reshape", "Flatten"})
    first.CopyFrom(onnx.helper.make_node("Reshape", [first.input[0], "one"], first.output))


def test_a_shadow_that_fails_is_counted_and_reported_once(shadowed, forge, observe, registry, caplog):
    forge("garments/1")
    forge("garments/2", edit=one_at_a_time)
    shadow, repository = shadowed()

    observe(shadow, repository.named("garments"), images=2, times=3)
    shadow.round()

    dropped = {"model": "garments", "shadow": "garments:2", "reason": "failed"}
    assert registry.get_sample_value("thimble_shadow_dropped_total", dropped) == 6
    assert caplog.text.count("the shadow garments:2 of garments failed: ") == 1


def test_a_tick_compares_beside_the_loop_and_one_at_a_time(shadowed, forge, observe, sample):
    forge("garments/1")
    forge("garments/2")
    shadow, repository = shadowed()
    observe(shadow, repository.named("garments"))

    shadow.tick()
    shadow.tick()
    assert sample("images_total") is None
    shadow._round.join(20)

    assert sample("images_total") == 1


def test_the_desk_answers_first_and_has_it_compared_later(shadowed, forge, image, registry, sample):
    forge("garments/1")
    forge("garments/2")
    shadow, repository = shadowed()
    desk = Desk(repository, 10**6, Drift(Metrics(CollectorRegistry())), OneByOne(5.0), shadow)

    (answer,) = desk.answer([image("bag")], Question()).items

    assert (answer.label, answer.version) == ("Bag", "1")
    assert sample("images_total") is None
    shadow.round()
    assert sample("agreements_total") == 1
