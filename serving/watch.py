"""When the folder of models is looked at, and the orders are read: in a greenlet of its own, beside the requests."""

import time

import gevent

from serving.repository import Repository

TOLERANCE = 0.5  # seconds: a look that is due before the next tick is due now


class Watch:
    """Has the repository follow its folder; call tick() about once a second."""

    def __init__(self, repository: Repository, seconds: float) -> None:
        """seconds: from one look to the next; 0 looks at the folder only when a load is ordered."""
        self._repository = repository
        self._seconds = seconds
        self._due = time.monotonic() + seconds
        self._round = gevent.Greenlet()

    def tick(self) -> None:
        """Begin a round, unless one is under way; returns at once."""
        if self._round.dead or not self._round.started:
            self._round = gevent.spawn(self.round)

    def round(self) -> None:
        """Do what was ordered, and look at the folder when it is time."""
        self._repository.obey()
        now = time.monotonic()
        if self._seconds and now >= self._due - TOLERANCE:
            self._due = now + self._seconds
            self._repository.poll()
