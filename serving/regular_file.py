"""Read a file that an operator names or others may write, whatever stands there: a pipe, a device, any size."""

import os
import stat
from pathlib import Path


class RegularFileError(ValueError):
    """Not a regular file, too large, or not to be read; the message says which."""


def read(path: Path, max_bytes: int, what: str) -> bytes:
    """Return the bytes of a regular file; raises RegularFileError. what: the file's kind, for the message."""
    try:
        with open(path, "rb", opener=_open_nonblocking) as file:  # Path.open has no opener parameter
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise RegularFileError("not a regular file")
            if status.st_size > max_bytes:
                raise RegularFileError(f"{status.st_size:,} bytes; {what} has at most {max_bytes:,}")
            return bytes(file.read(status.st_size))  # one of /proc has none, and may never end
    except OSError as error:
        raise RegularFileError(f"cannot be read: {error.strerror}") from error


def _open_nonblocking(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # opening a pipe would otherwise wait for its writer
