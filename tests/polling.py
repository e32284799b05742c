"""Wait for other processes."""

import time
from collections.abc import Callable


def wait_until(condition: Callable[[], object], timeout: float = 20, told: Callable[[], str] = lambda: "") -> None:
    """Ask until the condition holds; fails after so many seconds with what is told then."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, told()
        time.sleep(0.05)
