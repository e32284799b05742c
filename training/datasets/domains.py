"""The data of the router: composed photos of garments and of things, labelled with their data sets."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Generator, Tensor

from training.datasets.builtin import CIFAR_10, FASHION_MNIST
from training.datasets.composed import MICRO_BATCH, garment_photos, thing_photos
from training.datasets.download import DownloadedDataset
from training.datasets.labelled import LabelledImages, Source, TrainTest
from training.datasets.pixels import to_images, to_pixels

IMAGES = 2_500  # to train and to test, of each data set: nothing is trained on them but the calibration
SIDE = 128  # pixels: with fewer, real photos are told apart worse

Compose = Callable[[Tensor, Generator, int], Tensor]


@dataclass(frozen=True)
class Domains:
    """Photos composed of two data sets' own training and test images.

    A label is the name of a data set, not of a model: a router stays right when models come and go, since the service
    takes the default model of the data set.
    """

    title: str
    licence: str
    parts: tuple[tuple[DownloadedDataset, Compose], ...]

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(source.title for source, _ in self.parts)

    def load(self, data_dir: Path | None = None, limit: int | None = None) -> TrainTest:
        """Find or download both data sets and compose their photos; limit keeps so many of all together.

        Raises DataError.
        """
        first = slice(min(IMAGES, -(-limit // 2)) if limit else IMAGES)
        loaded = [source.load(data_dir) for source, _ in self.parts]
        train = self._compose([data.train.take(first) for data in loaded], seed=0)
        test = self._compose([data.test.take(first) for data in loaded], seed=1)
        return TrainTest(train.take(slice(limit)), test.take(slice(limit)), limit)

    def _compose(self, images: list[LabelledImages], seed: int) -> LabelledImages:
        """Return a photo of each image, in a random order."""
        generator = torch.Generator().manual_seed(seed)
        pixels = torch.cat(
            [
                to_pixels(compose(to_images(batch), generator, SIDE))
                for (_, compose), some in zip(self.parts, images, strict=True)
                for batch in some.pixels.split(MICRO_BATCH)
            ]
        )
        labels = torch.cat([torch.full_like(some.labels, number) for number, some in enumerate(images)])
        return LabelledImages(pixels, labels).take(torch.randperm(len(labels), generator=generator))


DOMAINS = Domains(
    title="Fashion-MNIST and CIFAR-10",
    licence="Apache 2.0, the weights as they were learned on ImageNet; the images: none stated; cite Krizhevsky 2009",
    parts=((FASHION_MNIST, garment_photos), (CIFAR_10, thing_photos)),
)

SOURCES: dict[str, Source] = {source.title: source for source in (FASHION_MNIST, CIFAR_10, DOMAINS)}
