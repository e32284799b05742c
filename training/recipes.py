"""The recipes: data, network and optimizers as values; the differences between experiments live here."""

from dataclasses import replace

from training.augment import random_shift
from training.datasets.builtin import CIFAR_10, FASHION_MNIST
from training.datasets.domains import DOMAINS
from training.datasets.views import garment_views, thing_views
from training.networks.cnn import CNN
from training.networks.efficientnet import EfficientNetLite, to_imagenet_lite
from training.networks.imagenet_domains import ImageNetDomains
from training.networks.mlp import MLP
from training.networks.net import Net
from training.networks.normalize import Normalize
from training.recipe import Recipe
from training.sample_sizes import FAST_SIZE, WITHOUT_CORRUPTIONS

FASHION_MLP = Recipe(
    name="fashion-mlp",
    title="Garments, multilayer perceptron taught by fashion-net",
    source=FASHION_MNIST,
    network=lambda: MLP(dropout=0.1),
    fit="garment",
    normalize=Normalize.to_roots,
    epochs=100,
    batch=512,
    learning_rate=4e-3,
    muon=0.05,
    schedule="one-cycle",
    weight_decay=0.05,
    teachers=("fashion-net",),
)

FASHION_NET = Recipe(
    name="fashion-net",
    title="Garments, strong compact network",
    source=FASHION_MNIST,
    network=lambda: Net(channels=1, residual=True),
    fit="garment",
    epochs=240,
    batch=2_000,
    learning_rate=0.01,
    muon=0.24,
    momentum=0.6,
    schedule="linear",
    weight_decay=2.0,
    teachers=("fashion-teacher", "fashion-large"),
    flip=True,
    view=garment_views,
    views=40,
    flagged_photos=0.231,
    mirrored=True,
    int8=True,
    # Its teachers take hours there; mixed images cost 0.1% of test images, and gain 3% of real photos.
    on_cpu={"teachers": (), "label_smoothing": 0.2, "epochs": 52, "mixup": 0.4},
)

FASHION_TEACHER = replace(
    FASHION_NET,
    name="fashion-teacher",
    title="Garments, wide network that teaches the compact one",
    network=lambda: Net(channels=1, widths=(128, 384, 512), residual=True),
    epochs=80,
    teachers=(),
    int8=False,
    on_cpu={},
)

CIFAR_NET = Recipe(
    name="cifar-net",
    title="Things and animals, pretrained network",
    source=CIFAR_10,
    network=lambda: EfficientNetLite(side=96, size=2),
    fit="photo",
    normalize=to_imagenet_lite,
    epochs=50,
    batch=500,
    learning_rate=1e-3,
    schedule="one-cycle",
    weight_decay=0.05,
    flip=True,
    view=thing_views,
    views=20,
    flagged_photos=0.254,
    int8=True,
    on_cpu={  # small images, and small batches, which take more steps in few epochs
        "network": lambda: EfficientNetLite(side=96, size=2, first_side=64),
        "epochs": 16,
        "views": 8,
        "batch": 100,
        "learning_rate": 5e-4,
    },
)

FASHION_LARGE = replace(
    CIFAR_NET,
    name="fashion-large",
    title="Garments, pretrained network",
    source=FASHION_MNIST,
    network=lambda: EfficientNetLite(side=84),
    fit="garment",
    epochs=30,
    view=garment_views,
    views=40,
    int8=False,
    on_cpu={},  # what cifar-net has was measured for it alone
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
    novelty=False,  # it hardly tells what is neither (AUROC 0.64), and takes a tenth of the time
    int8=True,
    sample_sizes=WITHOUT_CORRUPTIONS,
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
    sample_sizes=WITHOUT_CORRUPTIONS,
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
    sample_sizes=FAST_SIZE,
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
    sample_sizes=FAST_SIZE,
)

RECIPES = {
    recipe.name: recipe
    for recipe in (
        FASHION_MLP,
        CIFAR_CNN,
        FASHION_NET,
        CIFAR_NET,
        FASHION_TEACHER,
        FASHION_LARGE,
        ROUTER,
        LECTURE_MLP,
        LECTURE_CNN,
        LECTURE_MLP_FAST,
        LECTURE_CNN_FAST,
    )
}
DEFAULT = (FASHION_MLP.name, CIFAR_CNN.name)
