"""Probabilities of all own images, each from a last layer that did not learn from it (cross-validation)."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from serving.model.card import INPUT
from serving.model.runtime import open_session
from training.datasets.labelled import LabelledImages
from training.datasets.stratified import FOLDS, stratified_folds
from training.graph.onnx_features import ALL_CORES, OnnxFeatures
from training.networks.base import INFERENCE_BATCH
from training.networks.efficientnet import EfficientNetLite, to_imagenet_lite
from training.progress import track
from training.task import MULTI, balanced_regression
from training.train.head import features_of

PENALTY = 10.0  # of the weights: with a tenth of it, more images with the right label are suspected
MIN_SIDE = 64  # pixels to which images are enlarged for the pretrained network


def held_out_probabilities(features: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Return probabilities [n, classes]: for each fold of the images, a last layer is fitted to those of the others.

    features: [n, count]; labels: those of the n images, one or several of each.
    """
    standard = (features - features.mean(0)) / features.std().clamp_min(torch.finfo(features.dtype).tiny)
    folds = stratified_folds(labels)
    predict = _predict_one if labels.ndim == 1 else _predict_several
    probabilities = torch.zeros(len(labels), classes)
    for fold in track(f"Fitting {FOLDS} last layers, each to other images", range(FOLDS), FOLDS):
        rest = folds != fold
        probabilities[~rest] = predict(standard[rest], labels[rest], standard[~rest], classes)
    return probabilities


def graph_features(file: Path, pixels: Tensor) -> Tensor:
    """Return what the graph in a file gives for raw pixels [n, h, w, c], cut before its last layer: [n, count].

    Raises DataError when it cannot be cut.
    """
    session = open_session(OnnxFeatures.open(file).graph.SerializeToString(), ALL_CORES)
    parts = pixels.split(INFERENCE_BATCH)
    tracked = track(f"Features of {len(pixels):,} images", parts, len(parts))
    batches: list[NDArray[np.float32]] = [session.run(None, {INPUT: part.numpy()})[0] for part in tracked]
    return torch.from_numpy(np.concatenate(batches))


def pretrained_features(images: LabelledImages) -> Tensor:
    """Return what EfficientNet-Lite0 with ImageNet's weights gives for images: [n, count].

    Raises DataError when it is not installed.
    """
    network = EfficientNetLite(max(MIN_SIDE, *images.pixels.shape[1:3])).eval()
    return features_of(network, to_imagenet_lite(images.pixels), images.pixels)


def _predict_one(features: Tensor, labels: Tensor, asked: Tensor, classes: int) -> Tensor:
    """Return the probabilities [k, classes] of images with the features asked, of which each has one label."""
    probabilities = torch.zeros(len(asked), classes)
    learned = labels.unique()
    if len(learned) == 1:
        probabilities[:, learned] = 1
        return probabilities
    last = balanced_regression(features.numpy(), labels.numpy(), PENALTY)
    probabilities[:, learned] = torch.from_numpy(last.predict_proba(asked.numpy()).astype(np.float32))
    return probabilities


def _predict_several(features: Tensor, labels: Tensor, asked: Tensor, classes: int) -> Tensor:
    """Return those of images that may have several labels."""
    return MULTI.activate(MULTI.fit_layer(features, labels, PENALTY, classes)(asked))
