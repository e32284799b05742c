"""Likely mislabels: images whose label a model contradicts with confidence."""

from typing import NamedTuple

import torch
from torch import Tensor


class Mislabel(NamedTuple):
    """An image's place, and the label that it more likely has. margin: how much more probable that label is."""

    place: int
    label: int
    margin: float


def likely_mislabels(probabilities: Tensor, labels: Tensor) -> list[Mislabel]:
    """Return the likely mislabels, the likeliest first (confident learning: Northcutt, Jiang and Chuang 2021).

    A label is confident where its probability reaches the mean that it has for its own images; an image whose most
    probable confident label is not its own is a likely mislabel. probabilities: [n, classes], which mean little for
    images that the model was trained on; labels: [n] int64.
    """
    classes = probabilities.shape[1]
    own = [probabilities[labels == label, label] for label in range(classes)]
    # A label without images has no mean: it is never confident.
    thresholds = torch.stack([some.mean() if len(some) else torch.tensor(torch.inf) for some in own])
    confident = probabilities.where(probabilities >= thresholds, -1)
    best = confident.max(1)
    given = probabilities.gather(1, labels[:, None])[:, 0]
    places = ((best.values >= 0) & (best.indices != labels)).nonzero()[:, 0].tolist()
    found = [Mislabel(place, int(best.indices[place]), float(best.values[place] - given[place])) for place in places]
    return sorted((one for one in found if one.margin > 0), key=lambda one: -one.margin)
