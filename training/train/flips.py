"""Whether images may be flipped: a network that learned from none flipped must classify mirrored ones about as well."""

from math import sqrt

from torch import Tensor
from torch.nn import functional

TRIED_AT = 0.3  # of a training: before, the network has learned too little to judge by
BETTER_THAN_CHANCE = 2.0  # standard errors of guessing: those of few images that are all right would be 0
# Standard errors of the mean rise in loss. Of 300 and 1,000 photos of things it was 0.8 at most from there on, of
# garments, whose shoes all point to one side, 3, and of digits 6.
CLEAR_RISE = 1.5


def labels_allow_flips(plain: Tensor, mirrored: Tensor, labels: Tensor) -> bool:
    """Return whether a network classifies mirrored validation images about as well as the images themselves.

    plain, mirrored: its logits [n, classes]; labels: [n]. Never where it is not clearly better than chance.
    """
    n, classes = plain.shape
    right, chance = float((plain.argmax(1) == labels).float().mean()), 1 / classes
    if right - chance <= BETTER_THAN_CHANCE * sqrt(chance * (1 - chance) / n):
        return False
    before, after = (functional.cross_entropy(logits, labels, reduction="none") for logits in (plain, mirrored))
    rises = after - before
    return bool(rises.mean() <= CLEAR_RISE * rises.std(correction=0) / sqrt(n))
