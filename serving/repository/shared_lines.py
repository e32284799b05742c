"""Lines of text that the workers of a server add to one file: each reads those of all."""

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path


class SharedLines:
    """A file that only grows. Where it has no room, a worker keeps its lines to itself, and one may be cut off."""

    def __init__(self, path: Path | None = None) -> None:
        """Without a path, this process is the only worker."""
        self._path = path
        self._own: list[str] = []

    def add(self, line: str) -> None:
        """Add a line, without its end."""
        self._own.append(line)
        if self._path:
            with suppress(OSError), self._path.open("a", encoding="utf-8") as file:
                file.write(f"\n{line}\n")  # a new line first, since the one before may have been cut off

    def read(self) -> list[str]:
        """Return all lines; some may appear twice."""
        shared = ""
        if self._path:
            with suppress(OSError):  # there is no line yet, or the folder is gone
                shared = self._path.read_text("utf-8", "replace")  # a line may be cut off within a character
        return [line for line in shared.split("\n") if line] + self._own

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Have the other workers wait for the end of this one's turn."""
        with ExitStack() as stack:
            with suppress(OSError):  # the folder is gone: nobody waits
                if self._path:  # closing the file, or the end of the process, ends the turn
                    fcntl.flock(stack.enter_context(self._path.open("a")), fcntl.LOCK_EX)
            yield
