"""The recipes: data, network and optimizers as values; the differences between experiments live here."""

from dataclasses import replace
from functools import partial

from training.augment import cutout, random_shift
from training.datasets.builtin import CIFAR_10, FASHION_MNIST
from training.datasets.domains import DOMAINS
from training.datasets.image_folder import ImageFolder
from training.datasets.views import garment_view, thing_view
from training.networks.cnn import CNN
from training.networks.efficientnet import FineTuned, to_imagenet_lite
from training.networks.imagenet_domains import ImageNetDomains
from training.networks.mlp import MLP
from training.networks.net import Net
from training.networks.normalize import Normalize
from training.recipe import Recipe

# For a training on own images.
OWN_IMAGES_TOTAL = 200_000  # images that pass through the network in all, which decides the number of epochs
OWN_EPOCHS = 8, 200  # the fewest and the most epochs
OWN_STEPS_PER_EPOCH = 32  # few images make small batches: the network learns by steps
OWN_BATCH = 32, 128  # the smallest batch, for batch norm's sake, and the largest that pays


FASHION_MLP = Recipe(
    name="fashion-mlp",
    title="Garments, multilayer perceptron",
    source=FASHION_MNIST,
    network=lambda: MLP(dropout=0.2),
    fit="garment",
    normalize=Normalize.to_roots,
    epochs=30,
    batch=512,
    learning_rate=4e-3,
    muon=0.05,
    schedule="one-cycle",
    weight_decay=0.05,
)

CIFAR_TEACHER = Recipe(
    name="cifar-teacher",
    title="Things and animals, a large network that teaches the strong one",
    source=CIFAR_10,
    network=lambda: FineTuned(side=96),
    fit="photo",
    normalize=to_imagenet_lite,
    epochs=3,
    batch=128,
    learning_rate=1e-3,
    schedule="one-cycle",
    weight_decay=0.05,
    flip=True,
    view=thing_view,
    views=3,
)

CIFAR_CNN = Recipe(
    name="cifar-cnn",
    title="Things and animals, convolutional network taught by cifar-net",
    source=CIFAR_10,
    network=CNN,
    fit="photo",
    epochs=120,
    batch=256,
    learning_rate=3e-3,
    muon=0.1,
    schedule="one-cycle",
    teachers=("cifar-net",),
    flip=True,
    augmentations=(random_shift,),
)

CIFAR_NET = Recipe(
    name="cifar-net",
    title="Things and animals, strong compact network",
    source=CIFAR_10,
    network=lambda: Net(channels=3),
    fit="photo",
    epochs=48,
    batch=2_000,
    learning_rate=0.01,
    muon=0.24,
    momentum=0.6,
    schedule="linear",
    weight_decay=2.0,
    label_smoothing=0.2,
    flip=True,
    augmentations=(random_shift,),
    long_run_augmentations=(partial(random_shift, max_pixels=4), cutout),
    knows_photos=True,
    mirrored=True,
    int8=True,
)

FASHION_NET = replace(
    CIFAR_NET,
    name="fashion-net",
    title="Garments, strong compact network",
    source=FASHION_MNIST,
    network=lambda: Net(channels=1),
    fit="garment",
    epochs=30,
    long_run_augmentations=(random_shift, cutout),  # garments are centred, so the shift stays as it is
)

# For a GPU: in twenty epochs, which a processor can afford, they are less accurate than the two above.
CIFAR_NET_TAUGHT = replace(
    CIFAR_NET,
    name="cifar-net-taught",
    title="Things and animals, strong compact network, taught on views",
    epochs=200,
    label_smoothing=0.0,
    teachers=("cifar-teacher", "cifar-net"),
    view=thing_view,
    views=16,
    augmentations=(),
    long_run_augmentations=(),
)

FASHION_NET_TAUGHT = replace(
    FASHION_NET,
    name="fashion-net-taught",
    title="Garments, strong compact network, taught on views",
    epochs=120,
    label_smoothing=0.0,
    teachers=("fashion-net",),
    teachers_weight=0.5,  # it knows the garments of the data set, and photos less well than their labels
    view=garment_view,
    views=16,
    augmentations=(),
    long_run_augmentations=(),
)

ROUTER = Recipe(
    name="router",
    title="Garments or things: chooses the model that answers",
    source=DOMAINS,
    network=ImageNetDomains,
    fit="photo",
    normalize=to_imagenet_lite,
    epochs=0,  # pretrained
    batch=500,
    learning_rate=0.0,
    schedule="constant",
    validation_images=1_000,
    corruptions=False,
)

LECTURE_MLP = Recipe(
    name="lecture-mlp",
    title="Garments, as the lecture trains them",
    source=FASHION_MNIST,
    network=MLP,
    fit="garment",
    epochs=5,
    batch=32,
    learning_rate=1e-3,
    schedule="constant",
    normalize=Normalize.to_unit,
    validation_images=1_000,  # the lecture has none; fitting a temperature needs some
    corruptions=False,
)

LECTURE_CNN = replace(
    LECTURE_MLP,
    name="lecture-cnn",
    title="Things and animals, as the lecture trains them",
    source=CIFAR_10,
    network=CNN,
    fit="photo",
    epochs=10,
)

LECTURE_MLP_FAST = Recipe(
    name="lecture-mlp-fast",
    title="Garments: the lecture's accuracy, soonest",
    source=FASHION_MNIST,
    network=MLP,
    fit="garment",
    normalize=Normalize.to_roots,
    epochs=2,
    batch=1_024,
    learning_rate=4e-3,
    muon=0.1,
    schedule="one-cycle",
    corruptions=False,
)

LECTURE_CNN_FAST = Recipe(
    name="lecture-cnn-fast",
    title="Things and animals: the lecture's accuracy, soonest",
    source=CIFAR_10,
    network=CNN,
    fit="photo",
    epochs=1,
    train_images=36_000,  # four fifths of an epoch are enough
    batch=256,
    learning_rate=3e-3,
    muon=0.1,
    schedule="one-cycle",
    corruptions=False,
)

RECIPES = {
    recipe.name: recipe
    for recipe in (
        FASHION_MLP,
        CIFAR_CNN,
        FASHION_NET,
        CIFAR_NET,
        CIFAR_NET_TAUGHT,
        FASHION_NET_TAUGHT,
        CIFAR_TEACHER,
        ROUTER,
        LECTURE_MLP,
        LECTURE_CNN,
        LECTURE_MLP_FAST,
        LECTURE_CNN_FAST,
    )
}
DEFAULT = (FASHION_MLP.name, CIFAR_CNN.name)


def own_recipe(folder: ImageFolder) -> Recipe:
    """Return the recipe for own images: the strong compact network; the number of images sets epochs and batch."""
    n = len(folder.files)
    return replace(
        CIFAR_NET,
        name=folder.name,
        title="Own images, strong compact network",
        source=folder,
        network=lambda: Net(folder.channels, len(folder.labels)),
        epochs=_clamp(OWN_IMAGES_TOTAL // n, *OWN_EPOCHS),
        batch=_clamp(n // OWN_STEPS_PER_EPOCH, *OWN_BATCH),
        long_run_augmentations=(),  # strong augmentations would have to be tried on these images first
        knows_photos=False,
        flip=False,  # a flipped letter or digit is another one, or none
        mirrored=False,
        int8=False,  # it loses more on some data, and few images say little of how much
    )


def _clamp(value: int, lowest: int, highest: int) -> int:
    return min(max(value, lowest), highest)
