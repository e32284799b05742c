"""A new model beside the version that answers."""

from pathlib import Path

import msgspec
import pytest
import torch

from serving.model.classifier import Classifier
from training.datasets.labelled import LabelledImages
from training.publish.comparison import Release, VersionComparison, compare, compare_cards, guessing_note

MODELS = Path(__file__).parents[3] / "models"


@pytest.fixture(scope="module")
def answering() -> Classifier:
    """A committed model, as the version that answers."""
    return Classifier.open(MODELS / "fashion-mlp/2/model.onnx")


@pytest.fixture(scope="module")
def test_set(answering) -> LabelledImages:
    """Two hundred images whose labels are what that model says."""
    pixels = torch.randint(0, 256, (200, 28, 28, 1), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return LabelledImages(pixels, torch.from_numpy(answering.classify(pixels.numpy()).argmax(1)))


def candidate(test: LabelledImages, wrong: int) -> torch.Tensor:
    """Return probabilities with so many wrong labels."""
    labels = test.labels.clone()
    labels[:wrong] = (labels[:wrong] + 1) % 10
    return torch.nn.functional.one_hot(labels, 10).float()


def accuracy(classifier: Classifier, value: float, n: int = 100):
    metrics = msgspec.structs.replace(classifier.card.metrics, accuracy=value, n=n)
    return msgspec.structs.replace(classifier.card, metrics=metrics)


@pytest.mark.parametrize(("wrong", "worse"), [(0, False), (4, False), (5, True), (100, True)])
def test_a_model_is_clearly_worse_when_chance_does_not_explain_its_mistakes(answering, test_set, wrong, worse):
    comparison = compare(answering, answering.card, candidate(test_set, wrong), test_set)

    assert (comparison.before, comparison.after) == (1, pytest.approx(1 - wrong / 200))
    assert comparison.is_worse is worse
    assert "on the same 200 test images" in str(comparison)


def test_a_version_that_may_have_learned_the_test_images_is_said_to(answering, test_set):
    training = msgspec.structs.replace(answering.card.training, data_sha256="0" * 64)
    other = msgspec.structs.replace(answering.card, training=training)

    note = f"of which version {answering.card.version} may have learned some, since it was trained on other images"
    assert note in str(compare(answering, other, candidate(test_set, 0), test_set))


@pytest.mark.parametrize(("before", "after", "worse"), [(0.9, 0.88, False), (0.9, 0.7, True), (0.7, 0.9, False)])
def test_on_other_images_the_cards_are_compared(answering, before, after, worse):
    comparison = compare_cards(accuracy(answering, before), accuracy(answering, after))

    assert comparison.is_worse is worse
    assert "by their cards, on 100 and 100 test images" in str(comparison)


def test_a_model_of_another_input_is_compared_by_the_cards(answering, test_set):
    larger = LabelledImages(torch.zeros(5, 32, 32, 1, dtype=torch.uint8), test_set.labels[:5])

    assert "by their cards" in str(compare(answering, answering.card, candidate(test_set, 0)[:5], larger))


def test_a_model_of_other_labels_is_compared_by_the_cards(answering, test_set):
    other = msgspec.structs.replace(answering.card, labels=answering.card.labels[::-1])

    assert "by their cards" in str(compare(answering, other, candidate(test_set, 0), test_set))


WORSE = VersionComparison("version 1", "version 2", 0.9, 0.5, 0.02, 0.01, "by their cards")
EQUAL = VersionComparison("version 1", "version 2", 0.9, 0.9, 0.02, 0.01, "by their cards")


@pytest.mark.parametrize(
    ("release", "comparison", "objection"),
    [
        (Release(), None, ""),
        (Release(), EQUAL, ""),
        (Release(), WORSE, "clearly worse than version 1"),
        (Release(rehearsal="--limit 100"), None, ""),
        (Release(rehearsal="--limit 100"), EQUAL, "a rehearsal (--limit 100), while version 1 answers"),
        (Release(publish=True, rehearsal="--limit 100"), WORSE, ""),
        (Release(publish=False), None, "--no-publish"),
    ],
)
def test_a_rehearsal_and_a_worse_model_take_no_place_unless_told_to(release, comparison, objection):
    assert release.objection(comparison) == objection


@pytest.mark.parametrize(
    ("macro_accuracy", "images", "says"),
    [
        (0.125, (4, 4), "macro accuracy is 12%, and that of guessing 50%"),
        (0.75, (2, 2), "macro accuracy is 75%"),  # chance gives as much every third time
        (1.0, (2, 2), ""),
        (0.5, (90, 10), "macro accuracy is 50%"),  # where all are given the frequent label
        (0.75, (2, 0, 2, 2, 2), ""),
        (1.0, (5, 0), ""),  # of one label alone nothing can be told
    ],
)
def test_a_model_that_is_not_clearly_better_than_guessing_has_a_note(macro_accuracy, images, says):
    labels = torch.repeat_interleave(torch.arange(len(images)), torch.tensor(images))

    note = guessing_note(macro_accuracy, labels)

    assert says in note
    assert bool(note) == bool(says)


def test_images_of_several_labels_get_no_note_on_guessing():
    assert guessing_note(0.0, torch.ones(4, 2, dtype=torch.bool)) == ""
