"""The recipe of own images, which their number and their size decide."""

from collections.abc import Sequence
from dataclasses import replace

from training.augment import random_shift
from training.datasets.image_folder import INPUT_SIDES, ImageFolder, largest_filled
from training.networks.efficientnet import EfficientNetLite
from training.networks.net import Net
from training.recipe import Recipe
from training.recipes import CIFAR_NET, FASHION_TEACHER
from training.sample_sizes import OWN_IMAGES_SIZE
from training.task import MULTI, SINGLE

OWN_IMAGES_TOTAL = 200_000  # images that pass through the network in all, which decides the number of epochs
OWN_EPOCHS = 8, 200  # the fewest and the most epochs
OWN_STEPS_PER_EPOCH = 32  # few images make small batches: the network learns by steps
OWN_BATCH = 32, 128  # the smallest batch, for batch norm's sake, and the largest that pays
MIN_IMAGES_TO_STOP_EARLY = 500  # own images: fewer leave under 40 for validation, and chance would end the training
PHOTO_SIDE = 64  # pixels of the shorter side of a photo, at least: photos start from a pretrained network
PRETRAINED_SIDES = 64, 96, 128, 160, 192, 224  # pixels of a pretrained network's input; it learned from 224
SIDES = *INPUT_SIDES[:-1], *PRETRAINED_SIDES  # that --side takes
ENLARGED_TO = 128  # pixels, at least: ImageNet's photos showed it as much detail
TUNED_BLOCKS, TUNED_EPOCHS, TUNED_BATCH = 4, 15, 32  # of a pretrained network whose last blocks learn as well
MAX_PIXELS = 200_000_000  # of all images, in inputs of more: two cores compute their features in a few minutes


def own_recipe(folder: ImageFolder, pretrained: bool = False, fine_tuned: bool = False) -> Recipe:
    """Return the recipe for own images.

    pretrained: EfficientNet-Lite0, of which only the last layer is fitted, and if fine_tuned the last blocks learn as
    well; otherwise the strong compact network, where the number of images sets epochs and batch.
    """
    n, classes, task = len(folder.files), len(folder.labels), MULTI if folder.multi_label else SINGLE
    own = replace(CIFAR_NET if pretrained else FASHION_TEACHER, name=folder.name, task=task, view=None)
    # Of int8 few images say little of what it loses, and a flipped letter or digit is another one, or none.
    own = replace(own, sample_sizes=OWN_IMAGES_SIZE, flagged_photos=0.0, int8=False, flip=False)
    if pretrained:
        side = pretrained_side(folder)
        return replace(
            own,
            title="Own images, pretrained network",
            source=replace(folder, side=side),
            network=lambda: EfficientNetLite(max(side, ENLARGED_TO), classes, TUNED_BLOCKS if fine_tuned else 0),
            frozen=True,
            balanced=task is SINGLE,
            epochs=TUNED_EPOCHS if fine_tuned else 0,
            batch=TUNED_BATCH,
            label_smoothing=0.1,
        )
    return replace(
        own,
        title="Own images, strong compact network",
        source=folder,
        fit="photo",
        network=lambda: Net(folder.channels, classes),
        epochs=_clamp(OWN_IMAGES_TOTAL // n, *OWN_EPOCHS),
        batch=_clamp(n // OWN_STEPS_PER_EPOCH, *OWN_BATCH),
        label_smoothing=0.2,
        patience=0.2 if n >= MIN_IMAGES_TO_STOP_EARLY else 0.0,  # a tenth would end trainings that still improve
        balanced=task is SINGLE,  # of several labels the rare ones have lower thresholds instead
        augmentations=(random_shift,),  # stronger ones would have to be tried on these images first
        flip="tried" if task is SINGLE else False,  # the trial compares how often the one label is right
        mirrored=False,
    )


def pretrained_side(folder: ImageFolder, sides: Sequence[int] = PRETRAINED_SIDES) -> int:
    """Return which of the sides the input of a pretrained network has for these images, or their own side, in pixels.

    It is the largest that they fill; many images have one of at most ENLARGED_TO.
    """
    larger = (side for side in sides if side > folder.side)
    affordable = (side for side in larger if side <= ENLARGED_TO or len(folder.files) * side**2 <= MAX_PIXELS)
    return largest_filled((folder.side, *affordable), folder.typical_side)


def _clamp(value: int, lowest: int, highest: int) -> int:
    return min(max(value, lowest), highest)
