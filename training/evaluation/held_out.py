"""Probabilities of all own images, each from a last layer that did not learn from it (cross-validation)."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from serving.model.card import INPUT
from serving.model.runtime import open_session
from training.datasets.labelled import SPLIT_SEED, LabelledImages
from training.graph.onnx_features import ALL_CORES, OnnxFeatures
from training.task import balanced_regression

FOLDS = 5
BATCH = 100  # images
PENALTY = 10.0  # of the weights: with a tenth of it, more images with the right label are suspected


def held_out_probabilities(file: Path, images: LabelledImages, classes: int) -> Tensor:
    """Return probabilities [n, classes]: for each fold of the images, a last layer is fitted to those of the others.

    Its inputs are what the graph in the file gives, cut before its own last layer. Raises DataError.
    """
    features, labels = _features(OnnxFeatures.open(file), images.pixels), images.labels.numpy()
    folds = stratified_folds(images.labels)
    probabilities = np.zeros((len(labels), classes), np.float32)
    for fold in range(FOLDS):
        in_fold = folds == fold
        if len(learned := np.unique(labels[~in_fold])) == 1:
            probabilities[np.ix_(in_fold, learned)] = 1
            continue
        last = balanced_regression(features[~in_fold], labels[~in_fold], PENALTY)
        probabilities[np.ix_(in_fold, last.classes_)] = last.predict_proba(features[in_fold])
    return torch.from_numpy(probabilities)


def stratified_folds(labels: Tensor) -> NDArray[np.int64]:
    """Return the fold of each image with labels [n], chosen with a fixed seed: each has its share of each label."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(SPLIT_SEED))
    folds = np.empty(len(labels), np.int64)
    folds[order[labels[order].argsort(stable=True)].numpy()] = np.arange(len(labels)) % FOLDS
    return folds


def _features(backbone: OnnxFeatures, pixels: Tensor) -> NDArray[np.float32]:
    """Return the features [n, count] of raw pixels [n, h, w, c], with a mean of 0 and a deviation of 1 in all."""
    session = open_session(backbone.graph.SerializeToString(), ALL_CORES)
    features = np.concatenate([session.run(None, {INPUT: batch.numpy()})[0] for batch in pixels.split(BATCH)])
    standard: NDArray[np.float32] = (features - features.mean(0)) / max(features.std(), np.finfo(np.float32).tiny)
    return standard
