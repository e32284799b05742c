"""Read a file of the model folder, whatever stands there: a pipe, a device or more than memory holds is refused."""

import os
import stat
from pathlib import Path

from serving.model.card import ContractError


def read(path: Path, max_bytes: int, what: str) -> bytes:
    """Return the bytes of a regular file; raises ContractError. what: the file's kind, for the message."""
    try:
        with open(path, "rb", opener=_open_nonblocking) as file:  # Path.open has no opener parameter
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ContractError(f"{path}: not a regular file")
            if status.st_size > max_bytes:
                raise ContractError(f"{path}: {status.st_size:,} bytes; {what} has at most {max_bytes:,}")
            return bytes(file.read(status.st_size))  # one of /proc has none, and may never end
    except OSError as error:
        raise ContractError(f"{path}: cannot be read: {error.strerror}") from error


def _open_nonblocking(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # opening a pipe would otherwise wait for its writer
