"""Have the event loop go on answering: slow work runs in threads of the operating system, or takes turns."""

from collections.abc import Callable
from time import perf_counter
from typing import TypeVar

import gevent
from gevent.lock import BoundedSemaphore
from gevent.util import wrap_errors

from serving.errors import Overloaded

# Of the event loop for one request or client, until it yields. Yielding more often would have a worker accept further
# connections, and take those that an idle one is waiting for.
TURN_SECONDS = 0.05
# gevent.sleep(0) only runs what can run already, up to a thousand times, before it looks for what clients have sent.
PAUSE_SECONDS = 0.001

T = TypeVar("T")


class Turn:
    """The time that one request or client has had on the event loop since it last yielded."""

    def __init__(self) -> None:
        self._began = perf_counter()

    def end_if_long(self) -> None:
        """Yield to all others, also to clients whose requests have just come, once the turn was long."""
        if perf_counter() - self._began > TURN_SECONDS:
            gevent.sleep(PAUSE_SECONDS)
            self._began = perf_counter()


def run_in_thread(work: Callable[[], T]) -> T:
    """Return what the work returns; only the calling greenlet waits. The work must neither log nor take locks."""
    # Wrapped, since gevent prints each error that leaves a thread, with its traceback.
    result: T | Exception = gevent.get_hub().threadpool.apply(wrap_errors(Exception, work))
    if isinstance(result, Exception):
        raise result
    return result


def join_threads(timeout: float) -> None:
    """Wait up to timeout seconds for running work: a process that ends in the midst of onnxruntime's is aborted."""
    with gevent.Timeout(timeout, False):
        gevent.get_hub().threadpool.join()


class SerialExecutor:
    """Runs slow work in a thread, one job at a time, to bound peak memory."""

    def __init__(self, timeout: float) -> None:
        """timeout: seconds that a request may wait for its turn."""
        self.timeout = timeout
        self._turn = BoundedSemaphore()

    def run(self, work: Callable[[], T]) -> T:
        """Return what the work returns; raises what it raises, and Overloaded."""
        if not self._turn.acquire(timeout=self.timeout):
            raise Overloaded(
                f"The request waited for {self.timeout:g} s while other requests did slow work; ask again a little "
                "later."
            )
        try:
            return run_in_thread(work)
        finally:
            self._turn.release()
