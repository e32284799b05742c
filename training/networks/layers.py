"""The layers of a network, as a summary lists them."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from training.networks.base import count_parameters


class Layer(NamedTuple):
    """One layer; shape: of its output for one image."""

    kind: str
    shape: tuple[int, ...]
    parameters: int


def output_shape(network: nn.Module, shape: tuple[int, int, int]) -> tuple[int, ...]:
    """Return the shape of a network's output for one image, an input [channels, height, width].

    Raises RuntimeError where it does not take such an input.
    """
    with torch.inference_mode():
        return tuple(network.eval()(torch.zeros(1, *shape)).shape[1:])


def layers(network: nn.Module, shape: tuple[int, int, int]) -> list[Layer]:
    """Return the layers in their order, for an input [channels, height, width]."""
    # A convolution that pads its input by a layer of its own has a child, and yet weights.
    listed = [m for m in network.modules() if not list(m.children()) or list(m.parameters(recurse=False))]
    return _recorded(network, listed, shape)


def blocks(network: nn.Module, shape: tuple[int, int, int]) -> list[Layer]:
    """Return the layers in their order, those that a module other than a plain sequence has in it as one."""
    return _recorded(network, list(_not_sequences(network)), shape)


def _not_sequences(module: nn.Module) -> Iterator[nn.Module]:
    if not isinstance(module, nn.Sequential):
        yield module
        return
    for child in module.children():
        yield from _not_sequences(child)


def _recorded(network: nn.Module, listed: Sequence[nn.Module], shape: tuple[int, int, int]) -> list[Layer]:
    """Return those layers of a network in the order in which they compute."""
    found: list[Layer] = []

    def record(layer: nn.Module, _: object, output: Tensor) -> None:
        found.append(Layer(type(layer).__name__.lstrip("_"), tuple(output.shape[1:]), count_parameters(layer)))

    hooks = [module.register_forward_hook(record) for module in listed]
    with torch.inference_mode():
        network.eval()(torch.zeros(1, *shape))
    for hook in hooks:
        hook.remove()
    return found
