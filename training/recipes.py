"""The recipes: data, network and optimisation as values; the differences between experiments live here."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from training import augment, datasets, networks
from training.datasets import pictures
from training.datasets.images import Source
from training.networks.normalisation import Normalise

Augmentation = Callable[[Tensor, torch.Generator], Tensor]

# Of a training on own images.
OWN_SEEN = 200_000  # images in all: how often it goes through them follows
OWN_EPOCHS = 8, 200  # but no less and no more often than this
OWN_STEPS = 32  # an epoch: of few images the batches are small too, since the network learns by steps
OWN_BATCH = 32, 128  # but no smaller, for batch norm's sake, and no larger than what pays

PATIENCE = 24  # epochs: Jordan (2024) too cuts squares out in the longest of his trainings alone


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training, but for the device."""

    name: str
    title: str
    source: Source
    network: Callable[[], networks.Network]
    fit: Literal["garment", "photo"]
    epochs: int
    batch: int
    learning_rate: float
    schedule: Literal["constant", "one-cycle", "falling"]
    normalise: Callable[[Tensor], Normalise] = Normalise.to_standard
    muon: float = 0.0  # rate of Muon for hidden matrices and kernels; 0: AdamW for all
    momentum: float = 0.9  # of Muon
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    teacher: str | None = None  # an exported model whose answers are learned from as well
    flip: bool = False  # mirror each image in every other epoch (Jordan 2024, section 3.6)
    augmentations: tuple[Augmentation, ...] = ()
    patient: tuple[Augmentation, ...] = ()  # those that take their place in a training of PATIENCE epochs or more
    mirrored: bool = False  # serve the mean answer for an image and its mirror image
    held: int = 5_000  # training images kept out of training, for choices and calibration
    images: int | None = None  # how many of the others to train on; None: all
    seed: int = 1

    def answering(self, network: networks.Network) -> networks.Network | networks.Mirrored:
        """Return what is served of a trained network, from normalised images to logits."""
        return networks.Mirrored(network) if self.mirrored else network

    def augment(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return normalised images [n, c, h, w] changed at random as this training asks for."""
        for change in self.patient if self.patient and self.epochs >= PATIENCE else self.augmentations:
            images = change(images, generator)
        return images

    def values(self) -> dict[str, str | int | float | bool | None]:
        """Return what can be written down of what decides, by name."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        plain = {name: value for name, value in named.items() if isinstance(value, str | int | float | None)}
        return plain | {"network": self.network().title, "normalise": self.normalise.__name__}


FASHION_MLP = Recipe(
    name="fashion-mlp",
    title="Garments, multilayer perceptron",
    source=datasets.FASHION_MNIST,
    network=lambda: networks.MLP(dropout=0.2),
    fit="garment",
    normalise=Normalise.to_roots,
    epochs=30,
    batch=512,
    learning_rate=4e-3,
    muon=0.05,
    schedule="one-cycle",
    weight_decay=0.05,
)

CIFAR_CNN = Recipe(
    name="cifar-cnn",
    title="Things and animals, convolutional network taught by cifar-net",
    source=datasets.CIFAR_10,
    network=networks.CNN,
    fit="photo",
    epochs=120,
    batch=256,
    learning_rate=3e-3,
    muon=0.1,
    schedule="one-cycle",
    teacher="cifar-net",
    flip=True,
    augmentations=(augment.shift,),
)

CIFAR_NET = Recipe(
    name="cifar-net",
    title="Things and animals, strong compact network",
    source=datasets.CIFAR_10,
    network=lambda: networks.Net(channels=3),
    fit="photo",
    epochs=48,
    batch=2_000,
    learning_rate=0.01,
    muon=0.24,
    momentum=0.6,
    schedule="falling",
    weight_decay=2.0,
    label_smoothing=0.2,
    flip=True,
    augmentations=(augment.shift,),
    patient=(partial(augment.shift, most=4), augment.cut_out),
    mirrored=True,
)

FASHION_NET = replace(
    CIFAR_NET,
    name="fashion-net",
    title="Garments, strong compact network",
    source=datasets.FASHION_MNIST,
    network=lambda: networks.Net(channels=1),
    fit="garment",
    epochs=30,
    patient=(augment.shift, augment.cut_out),  # garments are centred: no wider shift
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
    normalise=Normalise.to_unit,
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
    normalise=Normalise.to_unit,
    held=1_000,  # the lecture holds out none; a temperature needs some
)

LECTURE_MLP_FAST = Recipe(
    name="lecture-mlp-fast",
    title="Garments: the lecture's accuracy, soonest",
    source=datasets.FASHION_MNIST,
    network=networks.MLP,
    fit="garment",
    normalise=Normalise.to_roots,
    epochs=2,
    batch=1_024,
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
    for recipe in (
        FASHION_MLP,
        CIFAR_CNN,
        FASHION_NET,
        CIFAR_NET,
        LECTURE_MLP,
        LECTURE_CNN,
        LECTURE_MLP_FAST,
        LECTURE_CNN_FAST,
    )
}
DEFAULT = (FASHION_MLP.name, CIFAR_CNN.name)


def own(folder: pictures.Folder) -> Recipe:
    """Return the recipe for own images: the strong compact network, trained as long as their number asks for."""
    n = len(folder.files)
    return replace(
        CIFAR_NET,
        name=folder.name,
        title="Own images, strong compact network",
        source=folder,
        network=lambda: networks.Net(folder.channels, len(folder.labels)),
        epochs=_between(OWN_SEEN // n, *OWN_EPOCHS),
        batch=_between(n // OWN_STEPS, *OWN_BATCH),
        patient=(),  # strong augmentation would have to be tried on these images first
        flip=False,  # letters and digits are others when mirrored
        mirrored=False,
    )


def _between(value: int, least: int, most: int) -> int:
    return min(max(value, least), most)
