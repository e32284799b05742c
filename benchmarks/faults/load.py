"""Clients that ask without a pause, and what became of each request."""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from types import TracebackType
from typing import NamedTuple, Self

from benchmarks.faults.service import BROKEN, Request, Service, send


class Outcome(NamedTuple):
    """A request: its times (time.monotonic), whether it was connected, and the status of its answer, 0 without one."""

    began: float
    ended: float
    connected: bool
    status: int


class LoadClients:
    """Clients that ask until the end of the block, each request on a connection of its own."""

    def __init__(self, service: Service, requests: Sequence[Request], clients: int) -> None:
        self._service, self._requests = service, requests
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(place,)) for place in range(clients)]
        self.outcomes: list[Outcome] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def lost(self) -> list[Outcome]:
        """Return the requests that were connected and got no answer, or one that is not 200."""
        return [one for one in self.outcomes if one.connected and one.status != 200]

    def __str__(self) -> str:
        statuses = Counter(one.status for one in self.lost())
        failures = ", ".join(f"{count} x {status or 'no answer'}" for status, count in sorted(statuses.items()))
        return f"{len(self.outcomes)} requests" + (f", not answered with 200: {failures}" if failures else "")

    def _run(self, place: int) -> None:
        while not self._ended.is_set():
            self.outcomes.append(self._ask(self._requests[place % len(self._requests)]))
            place += 1
            if not self.outcomes[-1].connected:
                time.sleep(0.05)  # nobody listens: the service has ended

    def _ask(self, request: Request) -> Outcome:
        began, connected, status = time.monotonic(), False, 0
        with closing(self._service.connection()) as connection:
            try:
                connection.connect()
                connected = True
                status = send(connection, request).status
            except BROKEN:
                pass  # the outcome says so
        return Outcome(began, time.monotonic(), connected, status)
