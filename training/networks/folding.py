"""Batch norms folded into the convolutions before them: the same outputs by fewer operators."""

import copy
from typing import TypeVar

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from training.networks.efficientnet import is_block

Module = TypeVar("Module", bound=nn.Module)


def fold_batch_norms(module: Module) -> Module:
    """Return a copy in evaluation mode whose batch norms that directly follow a convolution are part of it.

    A max pool may stand between the two where the batch norm's scale is positive: the largest value stays the largest.
    Layers are taken as they follow each other in each nn.Sequential and each block of EfficientNet, at any depth.
    """
    folded = copy.deepcopy(module).eval()
    for row in [each for each in folded.modules() if isinstance(each, nn.Sequential) or is_block(each)]:
        _fold_row(row)
    return folded


def _fold_row(row: nn.Module) -> None:
    found: tuple[str, nn.Conv2d] | None = None
    pooled = False
    for name, layer in list(row.named_children()):
        if isinstance(layer, nn.BatchNorm2d) and found and (_has_positive_scale(layer) or not pooled):
            setattr(row, found[0], fuse_conv_bn_eval(found[1], layer))
            setattr(row, name, nn.Identity())  # so that the others keep their places
        if isinstance(layer, nn.MaxPool2d):
            pooled = True
        else:
            found, pooled = (name, layer) if isinstance(layer, nn.Conv2d) else None, False


def _has_positive_scale(norm: nn.BatchNorm2d) -> bool:
    return not norm.affine or bool((norm.weight > 0).all())
