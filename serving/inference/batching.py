"""Requests that come together are run together: a graph takes less for many images than for one after another."""

from collections.abc import Callable
from time import perf_counter
from typing import NamedTuple

import gevent
import numpy as np
from gevent.event import Event
from numpy.typing import NDArray

from serving.model.classifier import AT_ONCE, Classifier, Outputs
from serving.errors import InternalError

Note = Callable[[Classifier, NDArray[np.uint8], Outputs, float], object]


class Ran(NamedTuple):
    """What a graph made of a request's images, and how many seconds of its run were for them."""

    outputs: Outputs
    seconds: float


class Run:
    """A run of a graph that is about to be: its images by request, and in the end what they share."""

    def __init__(self) -> None:
        self.images = 0
        self._pixels: list[NDArray[np.uint8]] = []
        self._ended = Event()
        self._outputs: Outputs | None = None
        self._seconds = 0.0

    def join(self, pixels: NDArray[np.uint8]) -> slice:
        """Take a request's images along; returns where they are."""
        start = self.images
        self._pixels.append(pixels)
        self.images += len(pixels)
        return slice(start, self.images)

    def go(self, classifier: Classifier, note: Note) -> None:
        """Run the graph. Raises what that raises; those who wait for it then get no outputs."""
        try:
            pixels = np.concatenate(self._pixels) if len(self._pixels) > 1 else self._pixels[0]
            start = perf_counter()
            self._outputs = classifier.run(pixels)
            self._seconds = perf_counter() - start
            note(classifier, pixels, self._outputs, self._seconds)
        finally:
            self._ended.set()

    def of(self, place: slice) -> Ran:
        """Wait for the end, and return what there is of a request. Raises InternalError."""
        self._ended.wait()
        if self._outputs is None:
            raise InternalError
        probabilities, novelty = self._outputs
        share = self._seconds * (place.stop - place.start) / self.images
        return Ran(Outputs(probabilities[place], None if novelty is None else novelty[place]), share)


class Runs:
    """The runs that other requests may still join, one for each classifier; nobody waits for others to come."""

    def __init__(self, note: Note) -> None:
        """note: is told of each run: its classifier, pixels, outputs and seconds."""
        self._note = note
        self._open: dict[Classifier, Run] = {}

    def run(self, classifier: Classifier, pixels: NDArray[np.uint8]) -> Ran:
        """Return what the graph makes of a request's pixels [batch, height, width, channels]."""
        run = self._open.get(classifier)
        if run and run.images + len(pixels) <= AT_ONCE:
            return run.of(run.join(pixels))
        run = self._open[classifier] = Run()
        place = run.join(pixels)
        gevent.sleep(0)  # the turn of those whose images are here too
        if self._open.get(classifier) is run:
            del self._open[classifier]
        run.go(classifier, self._note)
        return run.of(place)
