"""Ctrl-C and SIGTERM that are never lost: Python drops an exception that is raised in a finalizer or a C callback."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Self

from training.command import Terminated, raise_terminated

HANDLERS = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: raise_terminated}


class CtrlC:
    """Inside the block, Ctrl-C or SIGTERM raises its KeyboardInterrupt at once.

    Each check raises it again, in case Python dropped it.
    """

    def __init__(self) -> None:
        self._raised: type[KeyboardInterrupt] | None = None

    def __enter__(self) -> Self:
        # A shell has a process in the background ignore Ctrl-C.
        self._before = {number: handler for number, handler in HANDLERS.items() if signal.getsignal(number) is handler}
        for number in self._before:
            signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def check(self) -> None:
        """Raise what Ctrl-C or SIGTERM raised."""
        if self._raised:
            raise self._raised

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._raised = Terminated if number == signal.SIGTERM else KeyboardInterrupt
        raise self._raised


@contextmanager
def without_interruption() -> Iterator[None]:
    """Inside the block, which is short, Ctrl-C and SIGTERM wait: they take effect at the end."""
    before = {number: handler for number in HANDLERS if callable(handler := signal.getsignal(number))}
    if threading.current_thread() is not threading.main_thread():  # not ours to set
        before = {}
    waiting: list[int] = []
    for number in before:
        signal.signal(number, lambda number, _: waiting.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if waiting:
            signal.raise_signal(waiting[0])
