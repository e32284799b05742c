"""The least rate at which a body must arrive or be read, so that a slow client cannot hold its connection for ever."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

CHECK_INTERVAL = 0.25  # seconds: how late a deadline may be enforced
MIN_BODY_RATE = 64_000  # bytes a second, half a Mbit/s: what a poor mobile network gives a phone's photo


@dataclass(eq=False)
class Arrival:
    """A body that is being read from a connection. late: its time was up, and its reading was ended."""

    connection: socket.socket
    started: float
    allowance: float
    received: Callable[[], int]
    deadline: float
    counted: int = 0  # of its bytes, those that have moved the deadline
    late: bool = False

    @property
    def seconds(self) -> float:
        """The time that it was given so far."""
        return self.deadline - self.started

    def extend(self, now: float) -> None:
        """Give it what its new bytes take at the least rate; never more is left than the allowance.

        Otherwise a body that comes at once, but for its end, could hold its memory for minutes.
        """
        received = self.received()
        self.deadline = min(self.deadline + (received - self.counted) / MIN_BODY_RATE, now + self.allowance)
        self.counted = received

    def expire(self) -> None:
        """Shut down the receiving side: that ends the reading and still lets a response out."""
        self.late = True
        with suppress(OSError):  # the client has gone
            socket.socket.shutdown(self.connection, socket.SHUT_RD)  # SSLSocket.shutdown would end TLS too


class Deadline:
    """Expires arrivals that take longer than they may, in one thread that starts with the first arrival.

    Under gevent that is a greenlet, so whatever reads must yield to it.
    """

    def __init__(self, timeout: float, check_interval: float = CHECK_INTERVAL) -> None:
        """timeout: seconds for each arrival beside those at the least rate. check_interval: between two looks."""
        self.timeout = timeout
        self._check_interval = check_interval
        self._lock = threading.Lock()
        self._arrivals: set[Arrival] = set()
        self._watcher: threading.Thread | None = None

    @contextmanager
    def watch(self, connection: socket.socket, received: Callable[[], int] = lambda: 0) -> Iterator[Arrival]:
        """Start the timeout of a body that is read within this block, and stop it at the end.

        received: its bytes so far.
        """
        now = time.monotonic()
        arrival = Arrival(connection, now, self.timeout, received, now + self.timeout)
        with self._lock:
            self._arrivals.add(arrival)
            if self._watcher is None:
                self._watcher = threading.Thread(target=self._run, name="deadline", daemon=True)
                self._watcher.start()
        try:
            yield arrival
        finally:
            with self._lock:
                self._arrivals.discard(arrival)

    def _run(self) -> None:
        while True:
            time.sleep(self._check_interval)
            with self._lock:  # the end of watch() takes it too: a body that has arrived never expires
                now = time.monotonic()
                for arrival in list(self._arrivals):
                    arrival.extend(now)
                    if now >= arrival.deadline:
                        self._arrivals.discard(arrival)
                        arrival.expire()
