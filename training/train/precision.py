"""How a network trains fastest on a device: the number format, the memory layout and the images at once."""

from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.networks.base import Network


@dataclass(frozen=True)
class Precision:
    """A number format for activations and a memory layout for images; the weights stay float32."""

    device: torch.device
    dtype: torch.dtype
    layout: torch.memory_format

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context in which the network computes in this format."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype == torch.bfloat16)

    def to_device(self, network: Network) -> Network:
        """Move a network to the device, in this layout."""
        return network.to(self.device).to(memory_format=self.layout)  # type: ignore[call-overload,no-any-return]

    def cast(self, images: Tensor) -> Tensor:
        """Return images [n, c, h, w] in this format and layout."""
        return images.to(self.dtype).contiguous(memory_format=self.layout)


# Images that go through a network at once on a processor: of few, activations stay in its cache. Where convolutions are
# depthwise, activations take 30 MB for an image of 96 pixels, and more at once save no time.
MICRO_BATCH, DEPTHWISE_MICRO_BATCH = 512, 100

# The exported graph computes in these.
CPU_FLOAT32 = Precision(torch.device("cpu"), torch.float32, torch.contiguous_format)


def fastest(network: Network, device: torch.device) -> Precision:
    """Return bf16 in channels-last order for convolutions where the hardware multiplies bf16, otherwise float32.

    The two pay only together, and only for convolutions: a small MLP is faster in float32. On a processor depthwise
    convolutions take twice as long in bf16.
    """
    depthwise = _is_depthwise(network)
    convolutions = any(isinstance(module, nn.Conv2d) for module in network.modules())
    if convolutions and _multiplies_bf16(device) and not (depthwise and device.type == "cpu"):
        return Precision(device, torch.bfloat16, torch.channels_last)
    return Precision(device, torch.float32, torch.channels_last if depthwise else torch.contiguous_format)


def micro_batch(network: Network, device: torch.device) -> int | None:
    """Return how many images go through the network at once in training; None: whole batches, on a GPU."""
    if device.type == "cuda":
        return None
    return DEPTHWISE_MICRO_BATCH if _is_depthwise(network) else MICRO_BATCH


def _is_depthwise(network: Network) -> bool:
    return any(isinstance(module, nn.Conv2d) and module.groups > 1 for module in network.modules())


def _multiplies_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return False
