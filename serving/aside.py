"""Long work in a thread of the operating system, so that the server's loop goes on answering meanwhile."""

from collections.abc import Callable
from typing import TypeVar

import gevent

T = TypeVar("T")


def aside(work: Callable[[], T]) -> T:
    """Return what the work returns; only the greenlet that calls this waits. The work must not log nor take locks."""
    result: T = gevent.get_hub().threadpool.apply(work)
    return result


def finish(seconds: float) -> None:
    """Wait so long at most for what is under way: a process that ends in the midst of onnxruntime's work is aborted."""
    with gevent.Timeout(seconds, False):
        gevent.get_hub().threadpool.join()
