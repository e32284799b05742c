"""The devices that a network can be trained on."""

from collections.abc import Callable

import torch

DEVICES: dict[str, Callable[[], bool]] = {  # fastest first
    "cuda": torch.cuda.is_available,
    "mps": torch.backends.mps.is_available,
    "cpu": lambda: True,
}


class DeviceError(Exception):
    """A device that was asked for and is not there."""


def find_device(name: str) -> torch.device:
    """Return the device of this name; "auto" is the fastest there is. Raises DeviceError when it is not there."""
    there = [kind for kind, available in DEVICES.items() if available()]
    if name == "auto":
        return torch.device(there[0])
    if name not in there:
        raise DeviceError(f"--device {name}: PyTorch finds none on this machine; there is {', '.join(there)}")
    return torch.device(name)
