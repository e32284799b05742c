"""Files of weights: of a finished network, or of a training that can be taken up again."""

import os
import pickle
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

# What torch.load and load_state_dict raise on files that are foreign, damaged or of another network.
LOADING_ERRORS = (
    OSError, EOFError, RuntimeError, TypeError, AttributeError, LookupError, ValueError, struct.error,
    pickle.UnpicklingError,
)  # fmt: skip


class CheckpointError(Exception):
    """A file that does not hold what is to be taken from it."""


def load_weights(network: nn.Module, file: Path) -> None:
    """Give a network the weights of a state_dict that torch.save wrote. Raises CheckpointError."""
    try:
        network.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    except LOADING_ERRORS as error:
        raise CheckpointError(
            f"{file}: not the weights of the recipe's network as torch.save(network.state_dict(), FILE) writes them: "
            f"{error}"
        ) from error
    if not all(weights.isfinite().all() for weights in network.parameters()):
        raise CheckpointError(f"{file}: some of its weights are not finite numbers; take a checkpoint from before that")


@dataclass(frozen=True)
class SavedRun:
    """Where a training stands, in a file that is replaced as a whole after each epoch.

    what: all that decides the training; only one that agrees in all of it can go on from the file.
    """

    file: Path
    what: Mapping[str, Any]

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace the file."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        aside = self.file.with_suffix(f".{os.getpid()}.new")
        torch.save({"what": dict(self.what), "state": dict(state)}, aside)
        aside.replace(self.file)

    def load(self) -> Mapping[str, Any]:
        """Return the state. Raises CheckpointError when there is none, or one of another training."""
        try:
            saved = torch.load(self.file, map_location="cpu", weights_only=True)
            what, state = dict(saved["what"]), dict(saved["state"])
        except FileNotFoundError as error:
            raise CheckpointError(f"{self.file}: there is no training to resume; leave --resume out") from error
        except LOADING_ERRORS as error:
            raise CheckpointError(
                f"{self.file}: not a training that was saved here ({error}); delete it and train anew"
            ) from error
        others = [f"{name} {what.get(name)}, not {own}" for name, own in self.what.items() if what.get(name) != own]
        if others:
            raise CheckpointError(f"{self.file}: saved by another training: {'; '.join(others)}; leave --resume out")
        return state
