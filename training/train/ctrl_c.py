"""Ctrl-C that is never lost: Python drops a KeyboardInterrupt that comes up in a finaliser or a callback from C."""

import signal
from types import FrameType
from typing import Self


class CtrlC:
    """While it is entered, Ctrl-C raises KeyboardInterrupt at once, and again at each check in case that was lost."""

    def __init__(self) -> None:
        self._pressed = False

    def __enter__(self) -> Self:
        self._before = signal.getsignal(signal.SIGINT)
        if self._before is signal.default_int_handler:  # not where the shell has it ignored, in the background
            signal.signal(signal.SIGINT, self._press)
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._before)

    def check(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C was pressed."""
        if self._pressed:
            raise KeyboardInterrupt

    def _press(self, number: int, frame: FrameType | None) -> None:
        self._pressed = True
        raise KeyboardInterrupt
