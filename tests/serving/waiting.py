"""Wait for work beside the event loop."""

from collections.abc import Callable

import gevent


def until(condition: Callable[[], object], timeout: float = 20) -> None:
    """Run other greenlets until the condition holds; raises gevent.Timeout."""
    with gevent.Timeout(timeout):
        while not condition():
            gevent.sleep(0.001)
