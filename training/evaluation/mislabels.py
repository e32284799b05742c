"""Likely mislabels: images whose labels a model contradicts with confidence."""

from typing import NamedTuple

import torch
from torch import Tensor


class Mislabel(NamedTuple):
    """An image's place, and the labels that it more likely has. margin: how much more probable they are, the surest."""

    place: int
    labels: tuple[int, ...]
    margin: float


def likely_mislabels(probabilities: Tensor, labels: Tensor) -> list[Mislabel]:
    """Return the likely mislabels, the likeliest first (confident learning: Northcutt, Jiang and Chuang 2021).

    A label is confident where its probability reaches the mean that it has for its own images; an image whose most
    probable confident label is not its own is a likely mislabel. Where images may have several labels, having a label
    and not having it are two labels (Thyagarajan et al. 2022). probabilities: [n, classes], which mean little for
    images that the model was trained on; labels: those of n images, as a task has them.
    """
    found = _of_one(probabilities, labels) if labels.ndim == 1 else _of_several(probabilities, labels)
    return sorted(found, key=lambda one: -one.margin)


def _of_one(probabilities: Tensor, labels: Tensor) -> list[Mislabel]:
    classes = probabilities.shape[1]
    own = [probabilities[labels == label, label] for label in range(classes)]
    # A label without images has no mean: it is never confident.
    thresholds = torch.stack([some.mean() if len(some) else torch.tensor(torch.inf) for some in own])
    confident = probabilities.where(probabilities >= thresholds, -1)
    best = confident.max(1)
    margins = best.values - probabilities.gather(1, labels[:, None])[:, 0]
    places = ((margins > 0) & (best.indices != labels)).nonzero()[:, 0].tolist()
    return [Mislabel(place, (int(best.indices[place]),), float(margins[place])) for place in places]


def _of_several(probabilities: Tensor, truth: Tensor) -> list[Mislabel]:
    margins, likely = torch.zeros(len(truth)), truth.clone()
    for label, (probability, has) in enumerate(zip(probabilities.T, truth.T, strict=True)):
        for place, (other,), margin in _of_one(torch.stack([1 - probability, probability], 1), has.long()):
            likely[place, label] = bool(other)
            margins[place] = margins[place].clamp_min(margin)
    places = margins.nonzero()[:, 0].tolist()
    return [Mislabel(place, tuple(likely[place].nonzero()[:, 0].tolist()), float(margins[place])) for place in places]
