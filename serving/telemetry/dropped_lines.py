"""The number of log lines that had to be dropped, counted by all processes of a server together."""

import os
from contextlib import suppress
from pathlib import Path

PREFIX = "dropped-lines-"  # of the files, one for each process; its id follows
DIGITS = 20


class DroppedLines:
    """Counts in memory, and in a file for the other processes."""

    def __init__(self, folder: Path | None) -> None:
        """folder: shared by the processes; None where this one is alone."""
        self._folder = folder
        self._count = 0

    def add(self, lines: int) -> None:
        """Count lines that this process dropped."""
        self._count += lines
        if self._folder:
            with suppress(OSError):  # the folder is full, or was removed at the end
                self._publish(self._folder / f"{PREFIX}{os.getpid()}")

    def total(self) -> int:
        """Return the number of lines that all processes dropped."""
        if not self._folder:
            return self._count
        return sum(int(file.read_text() or 0) for file in self._folder.glob(f"{PREFIX}*"))

    def _publish(self, path: Path) -> None:
        """Overwrite the number in place, so that who reads it meanwhile sees the old or the new one."""
        file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.pwrite(file, f"{self._count:0{DIGITS}}".encode(), 0)
        finally:
            os.close(file)
