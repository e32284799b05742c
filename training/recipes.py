"""The recipes: data, network and optimisation as values; the differences between experiments live here."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from training import augment, datasets, networks


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training, but for the device."""

    name: str
    title: str
    source: datasets.Source
    network: Callable[[], networks.Network]
    fit: Literal["garment", "photo"]
    epochs: int
    batch: int
    learning_rate: float
    schedule: Literal["constant", "one-cycle"]
    normalise: Callable[[Tensor], networks.Normalise] = networks.Normalise.to_standard
    muon: float = 0.0  # rate of Muon for hidden matrices and kernels; 0: AdamW for all
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    augmentations: tuple[Callable[[Tensor, torch.Generator], Tensor], ...] = ()
    held: int = 5_000  # training images kept out of training, for choices and calibration
    images: int | None = None  # how many of the others to train on; None: all
    seed: int = 1


FASHION_MLP = Recipe(
    name="fashion-mlp",
    title="Garments, multilayer perceptron",
    source=datasets.FASHION_MNIST,
    network=lambda: networks.MLP(dropout=0.1),
    fit="garment",
    epochs=30,
    batch=512,
    learning_rate=4e-3,
    schedule="one-cycle",
    weight_decay=0.01,
)

CIFAR_CNN = Recipe(
    name="cifar-cnn",
    title="Things and animals, convolutional network",
    source=datasets.CIFAR_10,
    network=networks.CNN,
    fit="photo",
    epochs=24,
    batch=256,
    learning_rate=4e-3,
    schedule="one-cycle",
    weight_decay=0.02,
    augmentations=(augment.flip, augment.shift),
)

LECTURE_MLP = Recipe(
    name="lecture-mlp",
    title="Garments, as the lecture trains them",
    source=datasets.FASHION_MNIST,
    network=networks.MLP,
    fit="garment",
    epochs=5,
    batch=32,
    learning_rate=1e-3,
    schedule="constant",
    normalise=networks.Normalise.to_unit,
    held=1_000,  # the lecture holds out none; a temperature needs some
)

LECTURE_CNN = Recipe(
    name="lecture-cnn",
    title="Things and animals, as the lecture trains them",
    source=datasets.CIFAR_10,
    network=networks.CNN,
    fit="photo",
    epochs=10,
    batch=32,
    learning_rate=1e-3,
    schedule="constant",
    normalise=networks.Normalise.to_unit,
    held=1_000,  # the lecture holds out none; a temperature needs some
)

LECTURE_MLP_FAST = Recipe(
    name="lecture-mlp-fast",
    title="Garments: the lecture's accuracy, soonest",
    source=datasets.FASHION_MNIST,
    network=networks.MLP,
    fit="garment",
    epochs=2,
    batch=512,
    learning_rate=4e-3,
    muon=0.1,
    schedule="one-cycle",
)

LECTURE_CNN_FAST = Recipe(
    name="lecture-cnn-fast",
    title="Things and animals: the lecture's accuracy, soonest",
    source=datasets.CIFAR_10,
    network=networks.CNN,
    fit="photo",
    epochs=1,
    images=36_000,  # four fifths of an epoch are enough
    batch=256,
    learning_rate=3e-3,
    muon=0.1,
    schedule="one-cycle",
)

RECIPES = {
    recipe.name: recipe
    for recipe in (FASHION_MLP, CIFAR_CNN, LECTURE_MLP, LECTURE_CNN, LECTURE_MLP_FAST, LECTURE_CNN_FAST)
}
DEFAULT = (FASHION_MLP.name, CIFAR_CNN.name)
