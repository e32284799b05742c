"""Checkpoint files: the weights of a trained network, or the state of a training to resume."""

import os
import pickle
import struct
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
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
REASON_LENGTH = 300  # characters: PyTorch names each of hundreds of weights


class CheckpointError(Exception):
    """A checkpoint file is missing, damaged or of something else."""


def load_weights(
    network: nn.Module, file: Path, check: Callable[[Mapping[str, Any]], None] = lambda record: None
) -> Mapping[str, Any]:
    """Load the weights that a file holds into a network, and return what else it holds.

    That is a state_dict that torch.save wrote, or a mapping with one under "network". check: is called with what else
    it holds before the weights are loaded. Raises CheckpointError.
    """
    with _refused_weights(file):
        record = _record(file)
        others = {name: value for name, value in record.items() if name != "network"}
        check(others)
        network.load_state_dict(record["network"])
    if not all(weights.isfinite().all() for weights in network.parameters()):
        raise CheckpointError(f"{file}: some of its weights are NaN or infinite; take an earlier checkpoint")
    return others


def limit_of(file: Path) -> int | None:
    """Return the --limit of the training whose weights --train-only wrote into a file; None without any.

    Raises CheckpointError.
    """
    with _refused_weights(file):
        return _record(file).get("limit")


def _record(file: Path) -> Mapping[str, Any]:
    saved = torch.load(file, map_location="cpu", weights_only=True)
    return saved if isinstance(saved.get("network"), Mapping) else {"network": saved}


@contextmanager
def _refused_weights(file: Path) -> Iterator[None]:
    """Raise CheckpointError where a file of weights is missing, damaged or of another network."""
    try:
        yield
    except FileNotFoundError as error:
        raise CheckpointError(f"{file}: no such file; name one that --train-only or torch.save wrote") from error
    except LOADING_ERRORS as error:
        raise CheckpointError(
            f"{file}: not the weights of the recipe's network as --train-only or torch.save(network.state_dict(), FILE)"
            f" writes them: {_reason(error)}"
        ) from error


def write_whole(record: Mapping[str, Any], file: Path) -> None:
    """Write a record to a file that is replaced as a whole. Raises CheckpointError where it cannot be written."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new_file = file.with_suffix(f".{os.getpid()}.new")
    try:
        torch.save(dict(record), new_file)
        new_file.replace(file)
    except RuntimeError as error:  # of torch's writer, mostly on a full disk
        reason = textwrap.shorten(str(error), REASON_LENGTH, placeholder=" ...")
        raise CheckpointError(
            f"{file}: cannot be written, perhaps because the disk is full ({reason}); make room, and run the same "
            "command with --resume"
        ) from error
    finally:
        new_file.unlink(missing_ok=True)  # of a save that failed


@dataclass(frozen=True)
class SavedRun:
    """The state of a training in a file that is replaced as a whole after each epoch.

    identity: all values that decide the training; only a training that agrees in all of them can resume.
    """

    file: Path
    identity: Mapping[str, Any]

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace the file. Raises CheckpointError where it cannot be written."""
        write_whole({"identity": dict(self.identity), "state": dict(state)}, self.file)

    def load(self) -> Mapping[str, Any]:
        """Return the state. Raises CheckpointError when there is none, or one of another training."""
        try:
            saved = torch.load(self.file, map_location="cpu", weights_only=True)
            identity, state = dict(saved["identity"]), dict(saved["state"])
        except FileNotFoundError as error:
            raise CheckpointError(f"{self.file}: no saved training to resume; leave --resume out") from error
        except LOADING_ERRORS as error:
            raise CheckpointError(
                f"{self.file}: not a training saved by training.export ({_reason(error)}); delete it and train anew"
            ) from error
        found = [(name, identity.get(name), self.identity.get(name)) for name in {**self.identity, **identity}]
        others = [f"{name} {theirs}, not {own}" for name, theirs, own in found if theirs != own]
        if others:
            raise CheckpointError(f"{self.file}: saved by another training: {'; '.join(others)}; leave --resume out")
        return state


def _reason(error: Exception) -> str:
    """Return why a file cannot be loaded, without PyTorch's advice to run what is in it."""
    if isinstance(error, pickle.UnpicklingError):
        return "it holds something else than tensors, or is damaged"
    return textwrap.shorten(getattr(error, "strerror", None) or str(error), REASON_LENGTH, placeholder=" ...")
