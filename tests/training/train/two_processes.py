"""What each of two processes does that train together; test_together starts them as torchrun would."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lookalikes import learnable
from torch import Tensor
from torch.nn import functional

from training.augment import shift
from training.datasets.images import Images
from training.networks import CNN, BatchNorm, Net
from training.networks.normalisation import Normalise
from training.recipes import RECIPES, Recipe
from training.train import fit
from training.train.checkpoint import SavedRun
from training.train.course import Circumstances, Epoch
from training.train.together import Group, joined

PLAIN = replace(RECIPES["lecture-mlp"], epochs=2, batch=64)
UNEVEN = replace(RECIPES["lecture-cnn"], epochs=3, batch=25)  # neither its batch nor its images can be halved


class SmallNet(Net):
    """The strong compact network in everything but its size."""

    widths = (24, 32, 32)


SMALL_NET = replace(RECIPES["cifar-net"], network=lambda: SmallNet(channels=3), epochs=3, batch=32)


def lookalikes(recipe: Recipe, count: int) -> Images:
    """Return images that this recipe can be trained on."""
    shape = (28, 28, 1) if recipe is PLAIN else (32, 32, 3)
    pixels, labels = learnable(count, *shape, seed=0)
    return Images(torch.from_numpy(pixels), torch.from_numpy(labels).long())


def state(recipe: Recipe, around: Circumstances) -> Mapping[str, Tensor]:
    """Return what a network has become; the last fifty images are held out."""
    images = lookalikes(recipe, 178)
    train, held = images.take(slice(128)), images.take(slice(128, None))
    return fit(recipe, train, held, around).network.state_dict()


def gradients(group: Group) -> list[Tensor]:
    """Return the gradients of a batch, of which this process computes its share."""
    torch.manual_seed(0)
    network, images = CNN(), lookalikes(UNEVEN, 10)
    pixels = Normalise.to_unit(images.pixels)(images.pixels)
    own = group.share(torch.arange(10))
    functional.cross_entropy(network(pixels[own]), images.labels[own], reduction="sum").backward()
    group.add_gradients(network)
    return [weights.grad for weights in network.parameters() if weights.grad is not None]


def statistics(group: Group) -> Mapping[str, Tensor]:
    """Return the running statistics of a batch norm that saw twos here and fours there."""
    norm = BatchNorm(1)
    norm(torch.full((3, 1, 2, 2), 2.0 * (group.rank + 1)))
    group.average_statistics(norm)
    return norm.state_dict()


def seen(group: Group) -> dict[str, Any]:
    """Return which of 101 images this process saw, epoch by epoch, and how many it reported."""
    images = lookalikes(UNEVEN, 101)
    names = {
        plane.numpy().tobytes(): name for name, plane in enumerate(images.pixels.permute(0, 3, 1, 2).float() / 255)
    }
    epochs: list[list[int]] = [[]]
    reported: list[int] = []

    def watch(batch: Tensor, generator: torch.Generator) -> Tensor:
        epochs[-1] += [names[image.numpy().tobytes()] for image in batch]
        return batch

    around = Circumstances(
        group=group, report=lambda count, *_: reported.append(count), ended=lambda _: epochs.append([])
    )
    fit(replace(UNEVEN, augmentations=(watch, shift)), images, images, around)
    return {"images": epochs[:-1], "reported": reported}


def resumed(group: Group, folder: Path) -> Mapping[str, Tensor]:
    """Return what a network becomes in a training that was interrupted in its third epoch and resumed."""
    saved = SavedRun(folder / "run.pt", {})

    def ended(epoch: Epoch) -> None:
        if epoch.number == 3:
            raise KeyboardInterrupt

    try:
        state(SMALL_NET, Circumstances(group=group, saved=saved, ended=ended))
    except KeyboardInterrupt:
        return state(SMALL_NET, Circumstances(group=group, saved=saved, resume=True))
    raise AssertionError("not interrupted")


def left_alone(group: Group) -> str:
    """Return what this process is told when the one that leads cannot go on, as when its disk is full."""

    def ended(epoch: Epoch) -> None:
        if group.leads:
            raise OSError("No space left on device")

    try:
        state(PLAIN, Circumstances(group=group, ended=ended))
    except (OSError, RuntimeError) as error:
        return str(error)
    return "nothing"


def main(folder: Path) -> None:
    """Do all of it and leave the answers in a file of the process's own."""
    with joined("cpu") as group:
        answers = {
            "gradients": gradients(group),
            "statistics": statistics(group),
            "seen": seen(group),
            "plain": state(PLAIN, Circumstances(group=group)),
            "net": state(SMALL_NET, Circumstances(group=group)),
            "resumed": resumed(group, folder),
            "left alone": left_alone(group),
        }
    torch.save(answers, folder / f"{group.rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
