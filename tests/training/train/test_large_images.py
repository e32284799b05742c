"""Large images take no more memory than small ones: fewer of them go through a network at once."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from training.datasets.duplicates import near_duplicates
from training.datasets.labelled import LabelledImages
from training.datasets.outliers import outliers
from training.datasets.pixels import as_many
from training.networks.base import Features, Network
from training.networks.normalize import Normalize
from training.networks.novelty import NoveltyScore, Sample
from training.recipes import RECIPES
from training.train.precision import CPU_FLOAT32
from training.train.trainer import RunContext, Trainer, infer
from training.train.training_views import TrainingViews


class Recorder(Network):
    """A network that remembers how many images it gets at once."""

    title = "recorder"

    def __init__(self) -> None:
        super().__init__(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 10))
        self.seen: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(len(images))
        return super().forward(images)

    def init_from_data(self, images: Tensor) -> None:
        self.seen.append(len(images))


def pixels(count: int, side: int) -> Tensor:
    return torch.zeros(1, dtype=torch.uint8).expand(count, side, side, 3)


@pytest.mark.parametrize(("side", "most"), [(8, 1_000), (32, 1_000), (64, 250), (224, 20), (5_000, 1)])
def test_fewer_of_larger_images_are_taken_at_once(side, most):
    assert as_many(1_000, pixels(2, side)) == most


def test_validation_images_go_through_the_network_in_parts_of_their_size():
    network, images = Recorder(), pixels(45, 224)

    logits = infer(network, Normalize.to_unit(images), images, CPU_FLOAT32)

    assert network.seen == [20, 20, 5]
    assert logits.shape == (45, 10)


def test_the_first_weights_are_computed_from_as_many_images_as_their_size_allows():
    network = Recorder()
    recipe = replace(RECIPES["lecture-mlp"], network=lambda: network)
    train = LabelledImages(pixels(150, 224), torch.arange(150) % 10)

    Trainer(recipe, train, RunContext(), TrainingViews(train.pixels[None]))

    assert network.seen == [102]


def peak_of_memory() -> int:
    """Return the most bytes that this process has had since the peak was reset."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return 1024 * int(line.split()[1])


def measured(images: Tensor) -> NoveltyScore:
    """Return the novelty score of images by their pixels alone."""
    generator = torch.Generator().manual_seed(0)
    sample = Sample(images, Features((), *(torch.randn(len(images), 3, generator=generator) for _ in range(2))))
    return NoveltyScore(sample, torch.arange(len(images)) % 2, 1.0).fit(sample, sample)


def drawn(images: Tensor) -> Tensor:
    return outliers(images, torch.Generator().manual_seed(0))


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak of memory is reset on Linux alone")
@pytest.mark.parametrize("use", [drawn, measured, lambda images: list(near_duplicates(images))])
def test_photos_are_not_all_in_memory_as_floats(use):
    photos = torch.randint(0, 256, (300, 224, 224, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    use(photos[:20])  # imports what it needs
    Path("/proc/self/clear_refs").write_text("5")
    before = peak_of_memory()

    use(photos)

    assert peak_of_memory() - before < 6 * photos.nbytes  # all as floats take 8 times as much
