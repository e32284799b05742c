"""Run requests that come together in one batch: a graph takes less time for many images than for one after another."""

from collections.abc import Callable
from time import perf_counter
from typing import NamedTuple

import gevent
import numpy as np
from gevent.event import Event
from numpy.typing import NDArray

from serving.errors import InternalError
from serving.model.classifier import MICRO_BATCH, Classifier, Outputs

MAX_BATCH_SIZE = MICRO_BATCH  # images; the requests after that make another batch

OnBatch = Callable[[Classifier, NDArray[np.uint8], Outputs, float], object]


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
        """Run the graph; when that raises, the requests that wait get no outputs."""
        try:
            pixels = np.concatenate(self._pixels) if len(self._pixels) > 1 else self._pixels[0]
            start = perf_counter()
            self._outputs = classifier.run(pixels)
            self._seconds = perf_counter() - start
            on_batch(classifier, pixels, self._outputs, self._seconds)
        finally:
            self._finished.set()

    def result(self, place: slice) -> BatchResult:
        """Wait until the graph has run, and return the result for one request. Raises InternalError."""
        self._finished.wait()
        if self._outputs is None:
            raise InternalError
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
        """Return the result for a request's pixels [batch, height, width, channels]."""
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
