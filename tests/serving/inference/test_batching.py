"""Requests that come together share a run of the graph, and each gets its own outputs."""

import gevent
import numpy as np
import pytest

from serving.inference.batching import MAX_BATCH_SIZE, Batcher
from serving.model.classifier import Classifier, Outputs

WHITE = np.full((1, 28, 28, 1), 255, np.uint8)


class CountingClassifier:
    """A classifier that counts the images of each run, and fails at runs with a white image."""

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier
        self.runs: list[int] = []

    def run(self, pixels) -> Outputs:
        self.runs.append(len(pixels))
        if pixels.min((1, 2, 3)).max() == 255:
            raise MemoryError
        return self._classifier.run(pixels)


@pytest.fixture(scope="module")
def classifier(models):
    return Classifier.open(models / "fashion-mlp/2/model.onnx")


def images(*sizes):
    """Return a request for each size, with that many images."""
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (size, 28, 28, 1), np.uint8) for size in sizes]


def ignore(*_):
    pass


def run_together(counted, requests, on_batch=ignore):
    """Run requests that come at the same moment; return their greenlets, which have ended."""
    batcher = Batcher(on_batch)
    greenlets = [gevent.spawn(batcher.run, counted, pixels) for pixels in requests]
    gevent.joinall(greenlets, timeout=20)
    return greenlets


def test_requests_that_come_together_share_a_run_and_get_the_same_outputs_as_alone(classifier):
    counted, requests = CountingClassifier(classifier), images(1, 3, 2)

    answers = [greenlet.get() for greenlet in run_together(counted, requests)]

    assert counted.runs == [6]
    for pixels, (outputs, _) in zip(requests, answers, strict=True):
        alone = classifier.run(pixels)
        np.testing.assert_allclose(outputs.probabilities, alone.probabilities, atol=1e-6)
        np.testing.assert_allclose(outputs.novelty, alone.novelty, atol=1e-4)


def test_each_run_is_observed_once(classifier):
    runs, counted, requests = [], CountingClassifier(classifier), images(1, 3)

    answers = [greenlet.get() for greenlet in run_together(counted, requests, lambda *run: runs.append(run))]

    ((observed, pixels, outputs, seconds),) = runs
    assert observed is counted
    np.testing.assert_array_equal(pixels, np.concatenate(requests))
    np.testing.assert_array_equal(outputs.probabilities, np.concatenate([one.outputs.probabilities for one in answers]))
    assert seconds == pytest.approx(sum(one.seconds for one in answers))


def test_the_time_of_a_run_is_divided_by_images(classifier):
    seconds = [greenlet.get().seconds for greenlet in run_together(CountingClassifier(classifier), images(1, 3))]

    assert seconds[0] > 0
    assert seconds[1] == pytest.approx(3 * seconds[0])


def test_requests_share_a_run_up_to_the_maximum_batch_size(classifier):
    counted = CountingClassifier(classifier)

    run_together(counted, images(MAX_BATCH_SIZE - 1, 1, 1, MAX_BATCH_SIZE + 8))

    assert sorted(counted.runs) == [1, 8, MAX_BATCH_SIZE, MAX_BATCH_SIZE]


def test_a_later_request_gets_a_run_of_its_own(classifier):
    counted, batcher = CountingClassifier(classifier), Batcher(ignore)

    for pixels in images(1, 1):
        batcher.run(counted, pixels)

    assert counted.runs == [1, 1]


def test_requests_to_different_models_do_not_share_a_run(classifier):
    one, other, batcher = CountingClassifier(classifier), CountingClassifier(classifier), Batcher(ignore)

    requests = zip((one, other), images(1, 2), strict=True)
    gevent.joinall([gevent.spawn(batcher.run, *request) for request in requests])

    assert (one.runs, other.runs) == ([1], [2])


@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_image_at_which_the_graph_fails_fails_alone(classifier, place):
    counted, requests = CountingClassifier(classifier), images(1, 2)
    requests.insert(place, WHITE)

    greenlets = run_together(counted, requests)

    with pytest.raises(MemoryError):
        greenlets.pop(place).get()
    assert [len(greenlet.get().outputs.probabilities) for greenlet in greenlets] == [1, 2]
    assert sorted(counted.runs) == [1, 1, 2, 4]


def test_a_request_that_fails_alone_is_not_run_again(classifier):
    counted = CountingClassifier(classifier)

    with pytest.raises(MemoryError):
        Batcher(ignore).run(counted, WHITE)

    assert counted.runs == [1]


def test_other_requests_go_on_between_the_runs_of_a_large_batch(classifier, monkeypatch):
    monkeypatch.setattr("serving.concurrency.TURN_SECONDS", 0.0)
    batcher, counted = Batcher(ignore), CountingClassifier(classifier)
    large = gevent.spawn(batcher.run, counted, *images(4 * MAX_BATCH_SIZE))
    gevent.sleep(0)
    small = gevent.spawn(batcher.run, counted, *images(1))

    gevent.joinall([large, small], timeout=20)

    assert counted.runs[-1] == MAX_BATCH_SIZE
    assert len(large.get().outputs.probabilities) == 4 * MAX_BATCH_SIZE
