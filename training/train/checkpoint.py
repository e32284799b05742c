"""Checkpoint files: the weights of a trained network, or the state of a training to resume."""

import os
import pickle
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

# torch.load and load_state_dict raise these for files that are foreign, damaged or of another network.
LOADING_ERRORS = (
    OSError, EOFError, RuntimeError, TypeError, AttributeError, LookupError, ValueError, struct.error,
    pickle.UnpicklingError,
)  # fmt: skip


class CheckpointError(Exception):
    """A checkpoint file is missing, damaged or of something else."""


def load_weights(network: nn.Module, file: Path) -> Mapping[str, Any]:
    """Load the weights that a file holds into a network, and return what else it holds.

    That is a state_dict that torch.save wrote, or a mapping with one under "network". Raises CheckpointError.
    """
    try:
        saved = torch.load(file, map_location="cpu", weights_only=True)
        record = saved if isinstance(saved.get("network"), Mapping) else {"network": saved}
        network.load_state_dict(record["network"])
    except FileNotFoundError as error:
        raise CheckpointError(f"{file}: no such file; name one that --train-only or torch.save wrote") from error
    except LOADING_ERRORS as error:
        raise CheckpointError(
            f"{file}: not the weights of the recipe's network as --train-only or torch.save(network.state_dict(), FILE)"
            f" writes them: {error}"
        ) from error
    if not all(weights.isfinite().all() for weights in network.parameters()):
        raise CheckpointError(f"{file}: some of its weights are NaN or infinite; take an earlier checkpoint")
    return {name: value for name, value in record.items() if name != "network"}


@dataclass(frozen=True)
class SavedRun:
    """The state of a training in a file that is replaced as a whole after each epoch.

    identity: all values that decide the training; only a training that agrees in all of them can resume.
    """

    file: Path
    identity: Mapping[str, Any]

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace the file."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        new_file = self.file.with_suffix(f".{os.getpid()}.new")
        try:
            torch.save({"identity": dict(self.identity), "state": dict(state)}, new_file)
            new_file.replace(self.file)
        finally:
            new_file.unlink(missing_ok=True)  # of a save that failed

    def load(self) -> Mapping[str, Any]:
        """Return the state. Raises CheckpointError when there is none, or one of another training."""
        try:
            saved = torch.load(self.file, map_location="cpu", weights_only=True)
            identity, state = dict(saved["identity"]), dict(saved["state"])
        except FileNotFoundError as error:
            raise CheckpointError(f"{self.file}: no saved training to resume; leave --resume out") from error
        except LOADING_ERRORS as error:
            raise CheckpointError(
                f"{self.file}: not a training saved by training.export ({error}); delete it and train anew"
            ) from error
        found = [(name, identity.get(name), own) for name, own in self.identity.items()]
        others = [f"{name} {theirs}, not {own}" for name, theirs, own in found if theirs != own]
        if others:
            raise CheckpointError(f"{self.file}: saved by another training: {'; '.join(others)}; leave --resume out")
        return state
