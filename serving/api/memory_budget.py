"""A limit on the memory that clients take together."""

from collections.abc import Iterator
from contextlib import contextmanager

from serving.errors import Overloaded


class MemoryBudget:
    """Limits the bytes that this process holds for its clients, so that together they cannot fill its memory."""

    def __init__(self, max_bytes: int, holds: str = "large bodies are being read") -> None:
        """holds: what takes the memory, for the message."""
        self._max_bytes = max_bytes
        self._holds = holds
        self._used = 0

    @contextmanager
    def reserve(self, size: int) -> Iterator[None]:
        """Reserve that many bytes within the block; raises Overloaded when they are not free."""
        if self._used and self._used + size > self._max_bytes:
            raise Overloaded(f"Too many {self._holds} at once; ask again a little later.")
        self._used += size
        try:
            yield
        finally:
            self._used -= size
