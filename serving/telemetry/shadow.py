"""A second model beside the first, on a share of its requests: how often both agree, and what each takes."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from random import random
from time import perf_counter

import gevent
import numpy as np
from numpy.typing import NDArray

from serving.concurrency import aside
from serving.model.classifier import RUNTIME_ERRORS, Classifier, Outputs
from serving.repository.repository import Repository
from serving.repository.index import Pair
from serving.telemetry.metrics import Metrics

MOST = 256  # images that wait for their comparison, but for those of the last run: 38 MB if they are 224 x 224

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answered:
    """A run of inputs that clients were answered, the outputs, and the seconds between them."""

    pair: Pair
    pixels: NDArray[np.uint8]
    outputs: Outputs
    seconds: float


@dataclass(frozen=True)
class Compared:
    """What a shadow made of the same batch: how many labels are the same, and each image's largest difference."""

    agreements: int
    differences: NDArray[np.float32]
    seconds: float


class Shadow:
    """Notes answers and has them compared later, in a thread beside the server's loop; call tick() once a second."""

    def __init__(self, repository: Repository, metrics: Metrics) -> None:
        self._repository = repository
        self._metrics = metrics
        self._waiting: list[Answered] = []
        self._images = 0
        self._round: gevent.Greenlet | None = None
        self._failed: set[str] = set()

    def observe(self, classifier: Classifier, pixels: NDArray[np.uint8], outputs: Outputs, seconds: float) -> None:
        """Note a batch of inputs [batch, height, width, channels], if its model has a shadow and it is in the share."""
        pair = self._repository.pairs.get(classifier)
        if pair is None or random() >= pair.shade.share:  # noqa: S311  # a sample, not a secret
            return
        if self._images >= MOST:
            self._drop(pair, "full", len(pixels))
            return
        self._waiting.append(Answered(pair, pixels, outputs, seconds))
        self._images += len(pixels)

    def tick(self) -> None:
        """Begin to compare what was noted, unless that is under way; returns at once."""
        if self._waiting and (self._round is None or self._round.dead):
            self._round = gevent.spawn(self.round)

    def round(self) -> None:
        """Compare what was noted."""
        waiting, self._waiting, self._images = self._waiting, [], 0
        for answered, compared in zip(waiting, aside(partial(_compare, waiting)), strict=True):
            if isinstance(compared, Compared):
                self._count(answered, compared)
            else:
                self._drop(answered.pair, "failed", len(answered.pixels))
                self._say(f"the shadow {answered.pair.shade} of {answered.pair.shade.model} failed: {compared}")

    def _count(self, answered: Answered, compared: Compared) -> None:
        metrics, pair = self._metrics, answered.pair
        whose = pair.model.card.name, pair.model.card.version, f"{pair.shadow.card.name}:{pair.shadow.card.version}"
        metrics.shadow_images.labels(*whose).inc(len(answered.pixels))
        metrics.shadow_agreements.labels(*whose).inc(compared.agreements)
        metrics.shadow_difference.labels(*whose).observe_all(compared.differences)
        metrics.shadow_seconds.labels(*whose, "model").observe(answered.seconds)
        metrics.shadow_seconds.labels(*whose, "shadow").observe(compared.seconds)

    def _drop(self, pair: Pair, reason: str, images: int) -> None:
        self._metrics.shadow_dropped.labels(pair.shade.model, str(pair.shade), reason).inc(images)

    def _say(self, fault: str) -> None:
        if fault not in self._failed:
            self._failed = {fault}
            log.error("%s", fault)


def _compare(waiting: Sequence[Answered]) -> list[Compared | str]:
    return [_compared(answered) for answered in waiting]


def _compared(answered: Answered) -> Compared | str:
    """Return the comparison, or why the shadow gave no answer."""
    start = perf_counter()
    try:
        shadow = answered.pair.shadow.classify(answered.pixels)
    except RUNTIME_ERRORS as error:
        return str(error)
    seconds = perf_counter() - start
    model = answered.outputs.probabilities
    agreements = int((shadow.argmax(1) == model.argmax(1)).sum())
    differences = np.nan_to_num(np.abs(shadow - model), nan=1.0)  # one of them would make the metric's sum none
    return Compared(agreements, differences.max(1), seconds)
