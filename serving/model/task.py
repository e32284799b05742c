"""The task of a model: which labels its probabilities give an image, one or several."""

from typing import Annotated

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

Share = Annotated[float, Meta(ge=0, le=1)]
Probabilities = NDArray[np.float32] | NDArray[np.float64]  # [n, classes]

MIN_PROBABILITY = 1e-12  # stands for 0 in logarithms


class SingleLabel:
    """Each image has one label; the probabilities of all labels sum to 1."""

    def decide(self, probabilities: Probabilities) -> NDArray[np.bool_]:
        """Return which labels the images are given, bool [n, classes]: the most probable one."""
        decided: NDArray[np.bool_] = np.arange(probabilities.shape[1]) == probabilities.argmax(1)[:, None]
        return decided

    def entropies(self, probabilities: Probabilities) -> NDArray[np.float64]:
        """Return the entropy of each image's label, in nats: [n]."""
        entropies: NDArray[np.float64] = _terms(probabilities).sum(1)
        return entropies


class MultiLabel(Struct, frozen=True, tag_field="kind", tag="multi-label"):
    """An image has as many labels as reach their thresholds, or none; each label has a probability of its own.

    thresholds: the least probability with which a label is given, for each in index order.
    """

    thresholds: list[Share]

    def decide(self, probabilities: Probabilities) -> NDArray[np.bool_]:
        """Return which labels the images are given, bool [n, classes]: those that reach their thresholds."""
        decided: NDArray[np.bool_] = probabilities >= np.asarray(self.thresholds)
        return decided

    def entropies(self, probabilities: Probabilities) -> NDArray[np.float64]:
        """Return the summed entropy of each image's labels, any of which it has or lacks, in nats: [n]."""
        entropies: NDArray[np.float64] = (_terms(probabilities) + _terms(1 - probabilities)).sum(1)
        return entropies


Task = SingleLabel | MultiLabel
SINGLE_LABEL = SingleLabel()


def _terms(probabilities: Probabilities) -> NDArray[np.float64]:
    """Return the terms of an entropy, [n, classes]."""
    return -np.float64(probabilities) * np.log(np.maximum(probabilities, MIN_PROBABILITY))
