"""The strong compact network."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.networks.base import Network, initialize

WIDTHS = 64, 256, 256
NORM_MOMENTUM = 0.12  # of batch norm: its running means look back over about two batches of 2,000, in parts of 512
WHITENING_FLOOR = 5e-4  # added to variances, so that directions in which nothing varies are not blown up (Jordan 2024)


class Net(Network):
    """The strong compact network: whitened patches and three blocks of two convolutions, for images of any size.

    1.97 million parameters in colour. After the fastest known trainings on CIFAR-10 (Jordan 2024, "94% on CIFAR-10 in
    3.29 seconds"): a first layer computed from the data, batch norm without scale, kernels that begin as the identity.
    """

    def __init__(
        self, channels: int, classes: int = 10, widths: tuple[int, int, int] = WIDTHS, residual: bool = False
    ) -> None:
        """widths: channels of the blocks. residual: whether a third convolution adds to the output of each block."""
        self.title = f"net {'-'.join(map(str, widths))}{' residual' if residual else ''}"
        whitened = 2 * 4 * channels  # each principal direction of a 2x2 patch, and its negative
        super().__init__(
            nn.Conv2d(channels, whitened, 2),  # [n, 3, 32, 32] -> [n, 24, 31, 31]
            nn.GELU(),
            *_block(whitened, widths[0], residual),  # -> [n, 64, 15, 15]
            *_block(*widths[:2], residual),  # -> [n, 256, 7, 7]
            *_block(*widths[1:], residual),  # -> [n, 256, 3, 3]
            nn.AdaptiveMaxPool2d(1),
            nn.Flatten(),  # -> [n, 256]
            nn.Linear(widths[-1], classes, bias=False),
        )
        initialize(self[-1])
        self._whitening.requires_grad = False

    def init_from_data(self, images: Tensor) -> None:
        """Whiten 2x2 patches: project on their principal directions, each scaled to unit variance."""
        patches = functional.unfold(images, 2).transpose(1, 2).flatten(0, 1)  # [n * places, channels * 4]
        values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
        directions = (vectors / (values + WHITENING_FLOOR).sqrt()).T.reshape(-1, *self._whitening.shape[1:])
        self._whitening.data.copy_(torch.cat([directions, -directions]))

    @property
    def _whitening(self) -> Tensor:
        """The kernels of the first layer: [whitened, channels, 2, 2]."""
        return self.get_parameter("0.weight")


class BatchNorm(nn.BatchNorm2d):
    """Batch norm whose only parameter is a bias: the next layer undoes any scale."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-12, momentum=NORM_MOMENTUM)
        self.weight.requires_grad = False


class PooledConvolution(nn.Conv2d):
    """A convolution of 3x3, and padding, before a pool of 2x2, which drops the last row or column of an odd number.

    Those are not computed: at 13 pixels a side, 25 of 169 places. From [n, inputs, h, w] to [n, outputs, h', w'], where
    h' and w' are h and w without a remainder of 1.
    """

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        padded = functional.pad(images, (1, 1 - width % 2, 1, 1 - height % 2))
        return functional.conv2d(padded, self.weight, self.bias)


class Residual(nn.Module):
    """A convolution whose output is added to its input, [n, width, h, w]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.add = nn.Sequential(_convolution(width, width), BatchNorm(width), nn.GELU())

    def forward(self, images: Tensor) -> Tensor:
        sums: Tensor = images + self.add(images)
        return sums


def _block(inputs: int, width: int, residual: bool) -> tuple[nn.Module, ...]:
    """Return two or three convolutions, the first pooled: [n, inputs, h, w] -> [n, width, h/2, w/2]."""
    first, second = _convolution(inputs, width, PooledConvolution), _convolution(width, width)
    two = first, nn.MaxPool2d(2), BatchNorm(width), nn.GELU(), second, BatchNorm(width), nn.GELU()
    return (*two, Residual(width)) if residual else two


def _convolution(inputs: int, width: int, kind: type[nn.Conv2d] = nn.Conv2d) -> nn.Conv2d:
    """Return a convolution that begins as the identity, as far as it has channels for it."""
    convolution = kind(inputs, width, 3, padding="same", bias=False)
    nn.init.dirac_(convolution.weight.data[:inputs])
    return convolution
