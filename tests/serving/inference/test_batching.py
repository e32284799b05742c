"""Requests that come together, and what each of them gets of a run."""

import gevent
import numpy as np
import pytest

from serving.inference.batching import Runs
from serving.model.classifier import AT_ONCE, Classifier, Outputs
from serving.errors import InternalError


class Counted:
    """A classifier that notes the size of each run, and fails at runs of a certain size."""

    def __init__(self, classifier: Classifier, failing: int = 0) -> None:
        self._classifier = classifier
        self._failing = failing
        self.runs: list[int] = []

    def run(self, pixels) -> Outputs:
        self.runs.append(len(pixels))
        if len(pixels) == self._failing:
            raise ZeroDivisionError
        return self._classifier.run(pixels)


@pytest.fixture(scope="module")
def classifier(models):
    return Classifier.open(models / "fashion-mlp/1/model.onnx")


def images(*sizes):
    """Return as many requests, each with so many images."""
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (size, 28, 28, 1), np.uint8) for size in sizes]


def ignore(*_):
    pass


def asked(counted, requests, note=None):
    """Return the greenlets of requests that come at the same moment, at their end."""
    runs = Runs(note or ignore)
    greenlets = [gevent.spawn(runs.run, counted, pixels) for pixels in requests]
    gevent.joinall(greenlets, timeout=20)
    return greenlets


def test_requests_that_come_together_are_one_run_and_each_gets_what_it_would_alone(classifier):
    counted, requests = Counted(classifier), images(1, 3, 2)

    answers = [greenlet.get() for greenlet in asked(counted, requests)]

    assert counted.runs == [6]
    for pixels, (outputs, _) in zip(requests, answers, strict=True):
        alone = classifier.run(pixels)
        np.testing.assert_allclose(outputs.probabilities, alone.probabilities, atol=1e-6)
        np.testing.assert_allclose(outputs.novelty, alone.novelty, atol=1e-4)


def test_each_run_is_told_of_once(classifier):
    told, counted, requests = [], Counted(classifier), images(1, 3)

    answers = [greenlet.get() for greenlet in asked(counted, requests, lambda *run: told.append(run))]

    ((whose, pixels, outputs, seconds),) = told
    assert whose is counted
    np.testing.assert_array_equal(pixels, np.concatenate(requests))
    np.testing.assert_array_equal(outputs.probabilities, np.concatenate([one.outputs.probabilities for one in answers]))
    assert seconds == pytest.approx(sum(one.seconds for one in answers))


def test_the_time_of_a_run_is_shared_by_images(classifier):
    seconds = [greenlet.get().seconds for greenlet in asked(Counted(classifier), images(1, 3))]

    assert seconds[0] > 0
    assert seconds[1] == pytest.approx(3 * seconds[0])


def test_a_run_takes_only_so_many_images(classifier):
    counted = Counted(classifier)

    asked(counted, images(AT_ONCE - 1, 1, 1, AT_ONCE + 8))

    assert sorted(counted.runs) == [1, AT_ONCE, AT_ONCE + 8]


def test_those_that_come_later_are_a_run_of_their_own(classifier):
    counted, runs = Counted(classifier), Runs(ignore)

    for pixels in images(1, 1):
        runs.run(counted, pixels)

    assert counted.runs == [1, 1]


def test_models_do_not_mix(classifier):
    one, other, runs = Counted(classifier), Counted(classifier), Runs(ignore)

    together = zip((one, other), images(1, 2), strict=True)
    gevent.joinall([gevent.spawn(runs.run, *which) for which in together])

    assert (one.runs, other.runs) == ([1], [2])


def test_a_failed_run_fails_for_all_that_share_it_and_for_no_other(classifier):
    counted = Counted(classifier, failing=2)

    first, second = asked(counted, images(1, 1))

    with pytest.raises(ZeroDivisionError):
        first.get()
    with pytest.raises(InternalError):
        second.get()
    assert asked(counted, images(1))[0].get().outputs.probabilities.shape == (1, 10)
