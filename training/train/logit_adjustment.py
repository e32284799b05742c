"""Logit adjustment for class imbalance: a label with few images is predicted as often as the others.

A regression gives a rare label its weight among the images that it learned from; other images are still given the label
too seldom, since few images say little of how it varies. Cross-validated logits show by how much. The logits are
adjusted (Menon et al. 2021) by biases that are fitted, as in vector scaling (Guo et al. 2017), not taken from counts.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.datasets.stratified import FOLDS, stratified_folds
from training.progress import track
from training.regression import minimize
from training.task import SINGLE

UNEVEN = 2.0  # times as many images as another label: with less, the biases stay
PENALTY = 3.0  # of a bias, squared, against the loss of an image: keeps those of labels with few images small
MAX_ITERATIONS = 100


def adjust_biases(head: nn.Linear, features: Tensor, labels: Tensor, penalty: float) -> None:
    """Add to the biases of a last layer what makes up for the uneven numbers of images of its labels.

    features: [copies * n, count] that it was fitted to with this penalty, all images of a copy together; labels: [n].
    A label with fewer images than there are folds keeps its bias.
    """
    classes = head.out_features
    counts = labels.bincount(minlength=classes)
    frequent = counts >= FOLDS
    if frequent.sum() < 2 or counts[frequent].max() < UNEVEN * counts[frequent].min():
        return
    copies = len(features) // len(labels)
    folds, targets = stratified_folds(labels).repeat(copies), labels.repeat(copies)
    logits = torch.zeros(len(targets), classes, dtype=torch.float64)
    for fold in track(f"Fitting {FOLDS} last layers, each to other images", range(FOLDS), FOLDS):
        rest = folds != fold
        fitted = SINGLE.fit_layer(features[rest], targets[rest], penalty, classes)
        logits[~rest] = fitted(features[~rest]).double()
    used = frequent[targets]
    head.bias.add_(_biases(logits[used], targets[used], frequent, int(frequent[labels].sum())))


def _biases(logits: Tensor, labels: Tensor, frequent: Tensor, images: int) -> Tensor:
    """Return biases [classes] with which logits [k, classes] give the lowest loss, each frequent label counting alike.

    images: without their copies. The logits are scaled meanwhile, for they are too sure or not sure enough.
    """
    weights = 1 / labels.bincount(minlength=len(frequent)).clamp_min(1).double()
    biases = torch.zeros(len(frequent), dtype=torch.float64, requires_grad=True)
    scale = torch.zeros((), dtype=torch.float64, requires_grad=True)

    def loss() -> Tensor:
        shifted = scale.exp() * logits + biases * frequent
        return functional.cross_entropy(shifted, labels, weights) + PENALTY / images * biases.square().sum()

    minimize(loss, [biases, scale], MAX_ITERATIONS)
    return (biases * frequent / scale.exp()).detach().float()
