"""The head of a pretrained network: its last layer alone is fitted, in seconds."""

import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor, nn

from training.augment import flip_lr
from training.datasets.formats import DataError
from training.datasets.labelled import LabelledImages
from training.datasets.stratified import stratified_split
from training.networks.base import INFERENCE_BATCH, Network
from training.networks.normalize import Normalize
from training.progress import stage, track
from training.recipe import Recipe, name_of
from training.task import SINGLE
from training.train.logit_adjustment import adjust_biases
from training.train.trained_network import TrainedNetwork
from training.train.trainer import Epoch, loss_and_accuracy

PENALTIES = 0.1, 1.0, 10.0, 100.0  # of the weights: scikit-learn's 1 / C; the validation images choose
TRIED_IMAGES = 500  # with each normalization


class _Fit(NamedTuple):
    """A last layer, fitted to standardized features with a penalty; augmentations: what the features are of as well."""

    head: nn.Linear
    penalty: float
    features: Tensor
    augmentations: tuple[str, ...]


def fit_head(recipe: Recipe, train: LabelledImages, validation: LabelledImages) -> TrainedNetwork:
    """Fit the last layer of the recipe's network to the features that the rest gives for the images and mirrored ones.

    The recipe's task says what regression that is. The validation images choose whether mirrored images are used, and
    how much large weights cost. Raises DataError where all training images have one label.
    """
    start, task = time.perf_counter(), recipe.task
    if train.labels.ndim == 1 and len(found := train.labels.unique()) == 1:
        label = recipe.source.labels[int(found)]
        raise DataError(f"all {len(train):,} training images have the label {label!r}: raise --limit")
    network, normalize = recipe.network().eval(), recipe.normalize(train.pixels)
    plain = features_of(network, normalize, train.pixels)
    mirrored = torch.cat([plain, features_of(network, normalize, train.pixels, mirror=True)])
    validation_features = features_of(network, normalize, validation.pixels)
    mean, scale = plain.mean(0), plain.std().clamp_min(torch.finfo(plain.dtype).tiny)
    plain, mirrored, validation_features = (
        (features - mean) / scale for features in (plain, mirrored, validation_features)
    )

    def score(fit: _Fit) -> tuple[float, float]:
        logits = fit.head(validation_features)
        return task.quality(logits, validation.labels), -loss_and_accuracy(logits, validation.labels, task)[0]

    classes, doubled = len(recipe.source.labels), torch.cat([train.labels] * 2)
    learned = (plain, train.labels, ()), (mirrored, doubled, (flip_lr.__name__,))
    tried = list(product(learned, PENALTIES))
    fits = [
        _Fit(task.fit_layer(features, labels, penalty, classes), penalty, features, augmentations)
        for (features, labels, augmentations), penalty in track(f"Fitting {len(tried)} last layers", tried, len(tried))
    ]
    best = max(fits, key=score)
    if task is SINGLE:
        adjust_biases(best.head, best.features, train.labels, best.penalty)
    _put(network, best.head, mean, scale)
    loss, accuracy = loss_and_accuracy(best.head(plain), train.labels, task)
    val_loss, val_accuracy = loss_and_accuracy(best.head(validation_features), validation.labels, task)
    epoch = Epoch(1, loss, accuracy, val_loss, val_accuracy, 0.0, time.perf_counter() - start)
    return replace(TrainedNetwork.of(recipe, normalize, network, [epoch]), augmentations=best.augmentations)


def with_best_normalization(recipe: Recipe, train: LabelledImages, validation: LabelledImages) -> Recipe:
    """Return the recipe with that of its normalizations which is the most accurate on some validation images."""
    tried = stratified_split(train, TRIED_IMAGES)[1] if len(train) > TRIED_IMAGES else train
    some = tried, validation.take(slice(TRIED_IMAGES))
    found = []
    for each in recipe.normalizations:
        stage(f"Trying pixels normalized {name_of(each).replace('_', ' ')}")
        found.append((fit_head(replace(recipe, normalize=each), *some), each))
    _, best = max(found, key=lambda pair: (pair[0].epochs[-1].val_accuracy, -pair[0].epochs[-1].val_loss))
    return replace(recipe, normalize=best)


def features_of(network: Network, normalize: Normalize, pixels: Tensor, mirror: bool = False) -> Tensor:
    """Return the inputs [n, features] of the last layer for pixels [n, h, w, c]."""
    batches: Sequence[Tensor] = pixels.split(INFERENCE_BATCH)
    name = f"Features of {len(pixels):,} {'mirrored ' if mirror else ''}images"
    with torch.inference_mode():
        images = (normalize(batch) for batch in track(name, batches, len(batches)))
        turned = (flip_lr(batch, torch.ones(len(batch), dtype=torch.bool)) if mirror else batch for batch in images)
        return torch.cat([network.forward_features(batch).penultimate for batch in turned])


def _put(network: Network, head: nn.Linear, mean: Tensor, scale: Tensor) -> None:
    """Make a layer for features less their mean, divided by a scale, the network's last one."""
    with torch.no_grad():
        network.get_parameter(f"{len(network) - 1}.weight").copy_(head.weight / scale)
        network.get_parameter(f"{len(network) - 1}.bias").copy_(head.bias - head.weight @ (mean / scale))
