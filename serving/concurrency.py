"""Long work in a thread of the operating system, so that the server's loop goes on answering meanwhile."""

from collections.abc import Callable
from typing import TypeVar

import gevent
from gevent.lock import BoundedSemaphore

from serving.errors import Overloaded

T = TypeVar("T")


def aside(work: Callable[[], T]) -> T:
    """Return what the work returns; only the greenlet that calls this waits. The work must not log nor take locks."""
    result: T = gevent.get_hub().threadpool.apply(work)
    return result


class OneByOne:
    """Long work of requests, done aside: one at a time, so that it takes no more memory than if it were not."""

    def __init__(self, seconds: float) -> None:
        """seconds: how long a request waits for its turn."""
        self._seconds = seconds
        self._turn = BoundedSemaphore()

    def __call__(self, work: Callable[[], T]) -> T:
        """Return what the work returns; raises what it raises, and Overloaded."""
        if not self._turn.acquire(timeout=self._seconds):
            raise Overloaded(
                f"Other requests of long work kept this one waiting for {self._seconds:g} s; ask again a little later."
            )
        try:
            return aside(work)
        finally:
            self._turn.release()


def finish(seconds: float) -> None:
    """Wait so long at most for what is under way: a process that ends in the midst of onnxruntime's work is aborted."""
    with gevent.Timeout(seconds, False):
        gevent.get_hub().threadpool.join()
