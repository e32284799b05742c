"""A limit on how long a request may take to arrive, so that a slow client does not hold its connection for ever."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

TICK = 0.25  # seconds between two looks at what is being read: how late a deadline may be kept


@dataclass(eq=False)
class Arrival:
    """Something that is being read from a connection; late once it was cut because its time was up."""

    connection: socket.socket
    due: float
    late: bool = False

    def cut(self) -> None:
        """Close the receiving side, which ends the reading and still lets an answer out."""
        self.late = True
        with suppress(OSError):  # the client went away
            socket.socket.shutdown(self.connection, socket.SHUT_RD)  # TLS would end with it in its own way


class Deadline:
    """Cuts what takes longer than its time to arrive; one thread, started with the first arrival.

    Under gevent that is a greenlet, which needs its turn: what reads must give it.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._lock = threading.Lock()
        self._awaited: set[Arrival] = set()
        self._watcher: threading.Thread | None = None

    def start(self, connection: socket.socket) -> Arrival:
        """Begin the time of what is to be read from this connection."""
        arrival = Arrival(connection, time.monotonic() + self.seconds)
        with self._lock:
            self._awaited.add(arrival)
            if self._watcher is None:
                self._watcher = threading.Thread(target=self._run, name="deadline", daemon=True)
                self._watcher.start()
        return arrival

    def stop(self, arrival: Arrival) -> None:
        """End its time: it has arrived, or nobody waits for it any more."""
        with self._lock:
            self._awaited.discard(arrival)

    @contextmanager
    def watch(self, connection: socket.socket) -> Iterator[Arrival]:
        """Give what is read within this block its time."""
        arrival = self.start(connection)
        try:
            yield arrival
        finally:
            self.stop(arrival)

    def _run(self) -> None:
        while True:
            time.sleep(TICK)
            with self._lock:  # which stop() takes too: what has been stopped is never cut
                for arrival in [awaited for awaited in self._awaited if awaited.due <= time.monotonic()]:
                    self._awaited.discard(arrival)
                    arrival.cut()
