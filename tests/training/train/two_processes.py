"""The program of two processes that train one network; test_distributed gives them what torchrun would."""

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lookalikes import learnable
from small_networks import SmallNet
from torch import Tensor
from torch.nn import functional

from training.augment import random_shift
from training.datasets.labelled import LabelledImages
from training.networks.cnn import CNN
from training.networks.net import BatchNorm
from training.networks.normalize import Normalize
from training.recipe import Recipe
from training.recipes import RECIPES
from training.train.checkpoint import SavedRun
from training.train.distributed import ProcessGroup, join_process_group
from training.train.loop import train_network
from training.train.trainer import Epoch, RunContext

PLAIN = replace(RECIPES["lecture-mlp"], epochs=2, batch=64)
UNEVEN = replace(RECIPES["lecture-cnn"], epochs=3, batch=25)  # neither its batch nor its images can be halved


SMALL_NET = replace(RECIPES["fashion-net"], network=lambda: SmallNet(channels=3), view=None, epochs=3, batch=32)


def lookalikes(recipe: Recipe, count: int) -> LabelledImages:
    """Return images that this recipe can be trained on."""
    shape = (28, 28, 1) if recipe is PLAIN else (32, 32, 3)
    pixels, labels = learnable(count, *shape, seed=0)
    return LabelledImages(torch.from_numpy(pixels), torch.from_numpy(labels).long())


def state(recipe: Recipe, context: RunContext) -> Mapping[str, Tensor]:
    """Train a network and return its state; the last fifty images are for validation."""
    images = lookalikes(recipe, 178)
    train, validation = images.take(slice(128)), images.take(slice(128, None))
    return train_network(recipe, train, validation, context).network.state_dict()


def gradients(group: ProcessGroup) -> list[Tensor]:
    """Return the gradients of a batch, of which this process computes its part."""
    torch.manual_seed(0)
    network, images = CNN(), lookalikes(UNEVEN, 10)
    pixels = Normalize.to_unit(images.pixels)(images.pixels)
    own = group.shard(torch.arange(10))
    functional.cross_entropy(network(pixels[own]), images.labels[own], reduction="sum").backward()
    group.all_reduce_gradients(network)
    return [weights.grad for weights in network.parameters() if weights.grad is not None]


def statistics(group: ProcessGroup) -> Mapping[str, Tensor]:
    """Return the running statistics of a batch norm that saw twos in one process and fours in the other."""
    norm = BatchNorm(1)
    norm(torch.full((3, 1, 2, 2), 2.0 * (group.rank + 1)))
    group.average_statistics(norm)
    return norm.state_dict()


def seen(group: ProcessGroup) -> dict[str, Any]:
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

    context = RunContext(
        group=group, report=lambda count, *_: reported.append(count), on_epoch=lambda _: epochs.append([])
    )
    train_network(replace(UNEVEN, augmentations=(watch, random_shift)), images, images, context)
    return {"images": epochs[:-1], "reported": reported}


def resumed(group: ProcessGroup, folder: Path) -> Mapping[str, Tensor]:
    """Return the state of a network whose training was interrupted in its third epoch and resumed."""
    saved = SavedRun(folder / "run.pt", {})

    def on_epoch(epoch: Epoch) -> None:
        if epoch.number == 3:
            raise KeyboardInterrupt

    try:
        state(SMALL_NET, RunContext(group=group, saved=saved, on_epoch=on_epoch))
    except KeyboardInterrupt:
        return state(SMALL_NET, RunContext(group=group, saved=saved, resume=True))
    raise AssertionError("not interrupted")


def left_alone(group: ProcessGroup) -> str:
    """Return the error that this process gets when the main process fails, such as when its disk is full."""

    def on_epoch(epoch: Epoch) -> None:
        if group.is_main:
            raise OSError("No space left on device")

    try:
        state(PLAIN, RunContext(group=group, on_epoch=on_epoch))
    except (OSError, RuntimeError) as error:
        return str(error)
    return "no error"


def main(folder: Path) -> None:
    """Do all of it and save the results in a file for this process."""
    with join_process_group("cpu") as group:
        results = {
            "gradients": gradients(group),
            "statistics": statistics(group),
            "seen": seen(group),
            "plain": state(PLAIN, RunContext(group=group)),
            "net": state(SMALL_NET, RunContext(group=group)),
            "resumed": resumed(group, folder),
            "left alone": left_alone(group),
        }
    torch.save(results, folder / f"{group.rank}.pt")


if __name__ == "__main__":
    other = os.fork()  # now that PyTorch is loaded: two processes that load it take twice as long
    os.environ["RANK"] = os.environ["LOCAL_RANK"] = "0" if other else "1"
    main(Path(sys.argv[1]))
    if other:
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(other, 0)[1]))
