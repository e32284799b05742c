"""The devices that a network can be trained on."""

from collections.abc import Callable

import torch

DEVICES: dict[str, Callable[[], bool]] = {  # fastest first
    "cuda": torch.cuda.is_available,
    "mps": torch.backends.mps.is_available,
    "cpu": lambda: True,
}


class DeviceError(Exception):
    """The device is not available."""


def find_device(name: str) -> torch.device:
    """Return the device of this name; "auto" is the fastest available. Raises DeviceError when it is not available."""
    available = [kind for kind, is_available in DEVICES.items() if is_available()]
    if name == "auto":
        return torch.device(available[0])
    if name not in available:
        raise DeviceError(f"--device {name}: PyTorch finds none on this machine; available: {', '.join(available)}")
    return torch.device(name)


def device_name(device: torch.device) -> str:
    """Return the device's type and, of a GPU, its name."""
    return f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else device.type
