"""Run a shadow model on a share of another's requests: how often both agree, and the time that each takes."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from random import random
from time import perf_counter

import gevent
import numpy as np
from numpy.typing import NDArray

from serving.concurrency import run_in_thread
from serving.model.classifier import Classifier, Outputs
from serving.model.runtime import RUNTIME_ERRORS
from serving.repository.index import ShadowPair
from serving.repository.repository import Repository
from serving.telemetry.metrics import Metrics

MAX_WAITING_IMAGES = 256  # beside those of the last batch: 38 MB if they are 224 x 224

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AnsweredBatch:
    """A batch that clients were answered: inputs, the model's outputs, and the seconds that it took."""

    pair: ShadowPair
    pixels: NDArray[np.uint8]
    outputs: Outputs
    seconds: float


@dataclass(frozen=True)
class Comparison:
    """The shadow's outputs for the same batch: equal labels, largest difference for each image [batch], seconds."""

    agreements: int
    differences: NDArray[np.float32]
    seconds: float


class Shadow:
    """Notes batches, and compares them later in a thread beside the event loop; call tick() about once a second."""

    def __init__(self, repository: Repository, metrics: Metrics, max_waiting_images: int = MAX_WAITING_IMAGES) -> None:
        """max_waiting_images: to compare; once there are so many, further batches are dropped."""
        self._repository = repository
        self._metrics = metrics
        self._max_waiting_images = max_waiting_images
        self._waiting: list[AnsweredBatch] = []
        self._images = 0
        self._round: gevent.Greenlet | None = None
        self._logged: set[str] = set()

    def on_batch(self, classifier: Classifier, pixels: NDArray[np.uint8], outputs: Outputs, seconds: float) -> None:
        """Note a batch of inputs [batch, height, width, channels], if its model has a shadow and it is sampled."""
        pair = self._repository.pairs.get(classifier)
        if pair is None or random() >= pair.rule.share:  # noqa: S311  # a sample, not a secret
            return
        if self._images >= self._max_waiting_images:
            self._drop(pair, "full", len(pixels))
            return
        self._waiting.append(AnsweredBatch(pair, pixels, outputs, seconds))
        self._images += len(pixels)

    def tick(self) -> None:
        """Start to compare what was noted, unless that is running; returns at once."""
        if self._waiting and (self._round is None or self._round.dead):
            self._round = gevent.spawn(self.compare)

    def compare(self) -> None:
        """Compare what was noted."""
        waiting, self._waiting, self._images = self._waiting, [], 0
        for batch, comparison in zip(waiting, run_in_thread(partial(_compare_all, waiting)), strict=True):
            if isinstance(comparison, Comparison):
                self._count(batch, comparison)
            else:
                self._drop(batch.pair, "failed", len(batch.pixels))
                self._log_once(f"the shadow {batch.pair.rule} of {batch.pair.rule.model} failed: {comparison}")

    def _count(self, batch: AnsweredBatch, comparison: Comparison) -> None:
        metrics, pair = self._metrics, batch.pair
        labels = pair.model.card.name, pair.model.card.version, pair.shadow.full_name
        metrics.shadow_images.labels(*labels).inc(len(batch.pixels))
        metrics.shadow_agreements.labels(*labels).inc(comparison.agreements)
        metrics.shadow_difference.labels(*labels).observe_all(comparison.differences)
        metrics.shadow_seconds.labels(*labels, "model").observe(batch.seconds)
        metrics.shadow_seconds.labels(*labels, "shadow").observe(comparison.seconds)

    def _drop(self, pair: ShadowPair, reason: str, images: int) -> None:
        self._metrics.shadow_dropped.labels(pair.rule.model, str(pair.rule), reason).inc(images)

    def _log_once(self, fault: str) -> None:
        if fault not in self._logged:
            self._logged = {fault}
            log.error("%s", fault)


def _compare_all(waiting: Sequence[AnsweredBatch]) -> list[Comparison | str]:
    return [_compare(batch) for batch in waiting]


def _compare(batch: AnsweredBatch) -> Comparison | str:
    """Return the comparison, or why the shadow gave no outputs."""
    start = perf_counter()
    try:
        shadow = batch.pair.shadow.classify(batch.pixels)
    except RUNTIME_ERRORS as error:
        return str(error)
    seconds = perf_counter() - start
    model, pair = batch.outputs.probabilities, batch.pair
    agreements = int((pair.shadow.card.decide(shadow) == pair.model.card.decide(model)).all(1).sum())
    differences = np.nan_to_num(np.abs(shadow - model), nan=1.0)  # a NaN would make the metric's sum NaN
    return Comparison(agreements, differences.max(1), seconds)
