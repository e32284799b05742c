"""Label sets of stated coverage: their thresholds, as a card has them."""

from typing import Annotated

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from serving.model.task import SINGLE_LABEL, Share, Task

MAX_ENTRIES = 100  # of a list or a mapping that has a few
Thresholds = Share | list[Share]  # one for all labels, or one for each in index order


class Level(Struct, frozen=True):
    """A coverage, and the least probability of a label in the sets that have it."""

    coverage: Share
    threshold: Thresholds

    def by_label(self, classes: int) -> list[float]:
        """Return the threshold of each label."""
        return self.threshold if isinstance(self.threshold, list) else [self.threshold] * classes

    def sets(self, probabilities: NDArray[np.float32], task: Task = SINGLE_LABEL) -> NDArray[np.bool_]:
        """Return which labels are in the sets: bool [n, classes]; an empty set gets the labels that the task gives."""
        sets: NDArray[np.bool_] = probabilities >= np.asarray(self.threshold)
        empty = ~sets.any(1)
        sets[empty] = task.decide(probabilities[empty])
        return sets


class Conformal(Struct, frozen=True, kw_only=True):
    """The rule for label sets: take all labels whose probability is at least their threshold.

    coverage, threshold: the default level. levels: thresholds for other coverages.
    """

    coverage: Share
    threshold: Thresholds
    levels: Annotated[list[Level], Meta(max_length=MAX_ENTRIES)] = []

    @property
    def default(self) -> Level:
        """The level that is used unless a request asks for another coverage."""
        return Level(self.coverage, self.threshold)

    def level(self, coverage: float) -> Level | None:
        """Return the lowest level of at least this coverage; None where there is none."""
        levels = sorted([*self.levels, self.default], key=lambda level: level.coverage)
        return next((level for level in levels if level.coverage >= coverage), None)
