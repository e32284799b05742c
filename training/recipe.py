"""A recipe: data, network and optimizers as a value."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, Literal, Self

import torch
from torch import Tensor

from training.datasets.labelled import Source
from training.networks.base import Mirrored, Network
from training.networks.normalize import Normalize
from training.sample_sizes import FULL_SIZE, SampleSizes
from training.task import SINGLE, Task

Augmentation = Callable[[Tensor, torch.Generator], Tensor]
Views = Callable[[Tensor, torch.Generator], Iterator[Tensor]]


def name_of(function: Callable[..., object]) -> str:
    """Return the name of a function, of a partial with its arguments, such as "cutout(side=8)": equal in each run."""
    if isinstance(function, partial):
        given = [*map(repr, function.args), *(f"{key}={value!r}" for key, value in function.keywords.items())]
        return f"{name_of(function.func)}({','.join(given)})"
    return str(getattr(function, "__name__", type(function).__name__))


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training, except the device."""

    name: str
    title: str
    source: Source
    network: Callable[[], Network]
    fit: Literal["garment", "photo"]
    epochs: int
    batch: int
    learning_rate: float
    schedule: Literal["constant", "one-cycle", "linear"]
    normalize: Callable[[Tensor], Normalize] = Normalize.to_standard
    normalizations: tuple[Callable[[Tensor], Normalize], ...] = ()  # to choose from, where a network is not ours
    task: Task = SINGLE  # one label for each image, or several
    minutes: float | None = None  # the time that the training may take, in place of a number of epochs
    # The share of the epochs, or of the minutes, that the validation loss may take to fall; 0: as long as they last.
    patience: float = 0.0
    balanced: bool = False  # each label counts as much as another in the loss, however few its images
    muon: float = 0.0  # learning rate of Muon for hidden matrices and kernels; 0: AdamW for all
    momentum: float = 0.9  # of Muon
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    # Exported models whose mean probabilities are learned from as well: NAME, the newest version, or NAME:VERSION.
    teachers: tuple[str, ...] = ()
    teachers_weight: float = 0.9  # of the teachers' probabilities in the loss, beside the labels
    view: Views | None = None  # draws other versions of the training images, uint8 as they are
    views: int = 0  # how many are drawn at most; each epoch takes the next one
    # Flip each image in every other epoch (Jordan 2024, section 3.6), and a view that comes again the other way;
    # "tried": where the validation images allow it.
    flip: bool | Literal["tried"] = False
    augmentations: tuple[Augmentation, ...] = ()
    mixup: float = 0.0  # alpha of the distribution of shares in which two images are mixed; 0: they are not
    # The network is pretrained: its last layer is fitted, and if there are epochs its last blocks learn too.
    frozen: bool = False
    novelty: bool = True  # the graph says how unlike the training images an image is
    flagged_photos: float = 0.0  # share of photos of known images that is called novel; 0: no photos set the threshold
    int8: bool = False  # publish the graph in int8 where that pays
    mirrored: bool = False  # serve the mean of the logits for an image and for the flipped image
    validation_images: int = 5_000  # kept out of training, for choices and calibration
    train_images: int | None = None  # how many of the others to train on; None: all
    sample_sizes: SampleSizes = FULL_SIZE  # of the evaluation of the exported model
    seed: int = 1
    on_cpu: Mapping[str, Any] = field(default_factory=dict)  # fields that have other values on a processor

    def on(self, device: str) -> Self:
        """Return the recipe as a device of this type trains it: a processor affords fewer epochs than a GPU."""
        return replace(self, **self.on_cpu) if device == "cpu" else self

    def to_served(self, network: Network) -> Network | Mirrored:
        """Return a trained network as it is served, from normalized images to logits."""
        return Mirrored(network) if self.mirrored else network

    def augment(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return normalized images [n, c, h, w] after the random augmentations of this training."""
        for augmentation in self.augmentations:
            images = augmentation(images, generator)
        return images

    @property
    def augmentation_names(self) -> tuple[str, ...]:
        """The names of the augmentations, in their order."""
        return tuple(map(name_of, self.augmentations))

    def values(self) -> dict[str, str | int | float | bool | None]:
        """Return by name all parts of the training that can be written down."""
        # Without those that decide on the file and its card alone: a training may be resumed to publish others.
        names = {field.name for field in fields(self)} - {"int8", "novelty", "flagged_photos"}
        named = {name: getattr(self, name) for name in sorted(names)}
        plain = {name: value for name, value in named.items() if isinstance(value, str | int | float | None)}
        network = self.network()
        return plain | {
            "network": network.title,
            "layers": hashlib.sha256(repr(network).encode()).hexdigest()[:12],  # the title does not say all
            "augmentations": " ".join(self.augmentation_names),
            "normalize": name_of(self.normalize),
            "teachers": " ".join(self.teachers),
            "view": name_of(self.view) if self.view else None,
        }
