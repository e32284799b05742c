"""Garments or things, by a network that others trained on ImageNet: EfficientNet-Lite0 (Tan and Le 2019; Apache 2.0).

Its 1,000 classes are grouped into the two domains; nothing is trained here. It has seen millions of real photos, which
neither Fashion-MNIST nor CIFAR-10 show.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from training.networks.base import Network
from training.networks.efficientnet import EfficientNetLite, feature_layers, load_pretrained

# Indices of ImageNet's classes. Garments: clothes, shoes, bags, and the cloth that they are made of. Things: animals,
# and what drives, flies or floats. Other classes count for neither.
GARMENTS = (
    400, 411, 414, 433, 434, 445, 452, 457, 459, 474, 496, 501, 502, 514, 515, 518, 529, 568, 578, 585, 591, 601, 608,
    610, 614, 615, 617, 630, 636, 638, 639, 643, 652, 655, 656, 658, 667, 689, 697, 703, 735, 748, 770, 774, 775, 777,
    785, 787, 788, 793, 796, 801, 806, 808, 824, 834, 836, 837, 841, 842, 848, 850, 854, 857, 869, 885, 887, 893, 906,
    911,
)  # fmt: skip
THINGS = (
    *range(398), 403, 404, 405, 408, 436, 444, 450, 468, 472, 479, 484, 510, 511, 547, 554, 555, 561, 565, 569, 573,
    575, 576, 580, 586, 595, 603, 609, 612, 625, 627, 628, 654, 660, 661, 665, 670, 671, 675, 694, 705, 717, 724, 730,
    734, 744, 751, 757, 779, 780, 791, 802, 803, 812, 814, 817, 820, 829, 833, 847, 856, 864, 866, 867, 871, 880, 895,
    908, 913, 914,
)  # fmt: skip


class ImageNetDomains(Network):
    """EfficientNet-Lite0 with its classes grouped: from normalized images [n, 3, h, w] to logits [n, 2]."""

    title = EfficientNetLite.title

    def __init__(self) -> None:
        """Load the pretrained weights; raises DataError when the packages are not installed."""
        body = load_pretrained()
        classes = _rows(body._fc, (*GARMENTS, *THINGS))
        super().__init__(feature_layers(body), classes, _Groups(), nn.Identity())  # the last: the logits as features


class _Groups(nn.Module):
    """Sum the probabilities of each group of classes: logits of garments, then things [n, 537] -> logits [n, 2]."""

    def forward(self, logits: Tensor) -> Tensor:
        groups = logits.split([len(GARMENTS), len(THINGS)], 1)
        return torch.stack([torch.logsumexp(group, 1) for group in groups], 1)


def _rows(layer: nn.Linear, rows: Sequence[int]) -> nn.Linear:
    """Return a layer that has these of another's outputs."""
    kept = nn.Linear(layer.in_features, len(rows))
    kept.load_state_dict({name: values[list(rows)] for name, values in layer.state_dict().items()})
    return kept
