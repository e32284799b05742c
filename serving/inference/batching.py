"""Run requests that come together in one batch: a graph takes less time for many images than for one after another."""

from collections.abc import Callable
from time import perf_counter
from typing import NamedTuple

import gevent
import numpy as np
from gevent.event import Event
from numpy.typing import NDArray

from serving.concurrency import Turn
from serving.model.classifier import MICRO_BATCH, Classifier, Outputs
from serving.model.runtime import RUNTIME_ERRORS

MAX_BATCH_SIZE = MICRO_BATCH  # images; the requests after that make another batch

OnBatch = Callable[[Classifier, NDArray[np.uint8], Outputs, float], object]


class SharedRunError(Exception):
    """A run for several requests failed, perhaps at the image of another one."""


class BatchResult(NamedTuple):
    """The outputs for a request's images, and the seconds of the run that were for them."""

    outputs: Outputs
    seconds: float


class Batch:
    """The images of several requests, and later the outputs that the requests share."""

    def __init__(self) -> None:
        self.size = 0
        self._pixels: list[NDArray[np.uint8]] = []
        self._finished = Event()
        self._outputs: Outputs | None = None
        self._seconds = 0.0

    def add(self, pixels: NDArray[np.uint8]) -> slice:
        """Add a request's images; return their place in the batch."""
        start = self.size
        self._pixels.append(pixels)
        self.size += len(pixels)
        return slice(start, self.size)

    def run(self, classifier: Classifier, on_batch: OnBatch) -> None:
        """Run the graph. If onnxruntime fails, raise its error for a lone request; several are left without outputs."""
        shared = len(self._pixels) > 1
        try:
            pixels = np.concatenate(self._pixels) if shared else self._pixels[0]
            self._outputs = self._run_in_turns(classifier, pixels)
            on_batch(classifier, pixels, self._outputs, self._seconds)
        except RUNTIME_ERRORS:
            if not shared:
                raise
        finally:
            self._finished.set()

    def _run_in_turns(self, classifier: Classifier, pixels: NDArray[np.uint8]) -> Outputs:
        """Return the outputs for all images, and let other requests go on between the runs that they take."""
        outputs, turn = [], Turn()
        for first in range(0, len(pixels), MICRO_BATCH):
            start = perf_counter()
            outputs.append(classifier.run(pixels[first : first + MICRO_BATCH]))
            self._seconds += perf_counter() - start
            turn.end_if_long()
        return Outputs.concatenate(outputs) if len(outputs) > 1 else outputs[0]

    def result(self, place: slice) -> BatchResult:
        """Wait until the graph has run, and return the result for one request. Raises SharedRunError."""
        self._finished.wait()
        if self._outputs is None:
            raise SharedRunError
        probabilities, novelty = self._outputs
        seconds = self._seconds * (place.stop - place.start) / self.size
        return BatchResult(Outputs(probabilities[place], None if novelty is None else novelty[place]), seconds)


class Batcher:
    """Collects the requests of one turn of the event loop, classifier by classifier; none waits for later ones."""

    def __init__(self, on_batch: OnBatch) -> None:
        """on_batch: is called after each run with its classifier, pixels, outputs and seconds."""
        self._on_batch = on_batch
        self._open: dict[Classifier, Batch] = {}

    def run(self, classifier: Classifier, pixels: NDArray[np.uint8]) -> BatchResult:
        """Return the result for a request's pixels [batch, height, width, channels]. Raises what the graph raises."""
        try:
            return self._run_with_others(classifier, pixels)
        except SharedRunError:
            batch = Batch()
            place = batch.add(pixels)
            batch.run(classifier, self._on_batch)
            return batch.result(place)

    def _run_with_others(self, classifier: Classifier, pixels: NDArray[np.uint8]) -> BatchResult:
        batch = self._open.get(classifier)
        if batch and batch.size + len(pixels) <= MAX_BATCH_SIZE:
            return batch.result(batch.add(pixels))
        batch = self._open[classifier] = Batch()
        place = batch.add(pixels)
        gevent.sleep(0)  # yield, so that requests whose images are here too can join
        if self._open.get(classifier) is batch:
            del self._open[classifier]
        batch.run(classifier, self._on_batch)
        return batch.result(place)
