"""Stratified validation images and folds: each label has its share of them."""

import torch
from torch import Tensor

from training.datasets.labelled import SPLIT_SEED, LabelledImages, rarest_label

FOLDS = 5  # of cross-validation
MIN_IMAGES = 5  # a label with fewer keeps them all to be learned from


def stratified_split(images: LabelledImages, validation: int) -> tuple[LabelledImages, LabelledImages]:
    """Return the images to train on and so many validation images, chosen with a fixed seed.

    There are more validation images where each label with MIN_IMAGES would otherwise not have one. Of several labels of
    an image the rarest counts.
    """
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(SPLIT_SEED))
    due = _due(rarest_label(images.labels)[order])
    validation = max(validation, int((due == 0).sum()))
    chosen = torch.zeros(len(images), dtype=torch.bool)
    chosen[due.argsort(stable=True)[:validation]] = True
    return images.take(order[~chosen]), images.take(order[chosen])


def stratified_folds(labels: Tensor) -> Tensor:
    """Return the fold of each image with these labels, chosen with a fixed seed: each has its share of each label.

    Where images have several labels, it is each combination of these.
    """
    kinds = labels if labels.ndim == 1 else labels.unique(dim=0, return_inverse=True)[1]
    order = torch.randperm(len(kinds), generator=torch.Generator().manual_seed(SPLIT_SEED))
    folds = torch.empty(len(kinds), dtype=torch.int64)
    folds[order[kinds[order].argsort(stable=True)]] = torch.arange(len(kinds)) % FOLDS
    return folds


def _due(labels: Tensor) -> Tensor:
    """Return when each of the images with labels [n] is due for validation, from 0 on: a label's are evenly spread."""
    due = torch.empty(len(labels))
    for label in labels.unique():
        own = labels == label
        count = int(own.sum())
        due[own] = (torch.arange(count) + 0.5) / count
        if count >= MIN_IMAGES:
            due[own.nonzero()[0]] = 0
    return due
