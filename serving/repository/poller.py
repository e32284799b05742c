"""When the folder of models is looked at, and the orders are read: in a greenlet of its own, beside the requests."""

import logging
import math
import time

import gevent

from serving.repository.repository import Repository

LONG = 60.0  # seconds of a round after which somebody should be told
TOLERANCE = 0.5  # seconds: a look that is due before the next tick is due now

log = logging.getLogger(__name__)


class Watch:
    """Has the repository follow its folder; call tick() about once a second."""

    def __init__(self, repository: Repository, seconds: float) -> None:
        """seconds: from one look to the next; 0 looks at the folder only when a load is ordered."""
        self._repository = repository
        self._seconds = seconds
        self._due = time.monotonic() + seconds
        self._round: gevent.Greenlet | None = None
        self._patient_until = math.inf

    def tick(self) -> None:
        """Begin a round, unless one is under way; returns at once."""
        now = time.monotonic()
        if self._round is None or self._round.dead:
            self._round = gevent.spawn(self.round)
            self._patient_until = now + LONG
        elif now > self._patient_until:
            log.error("the folder of models, or a file in it, has taken %g s: nothing new is taken up meanwhile", LONG)
            self._patient_until = math.inf

    def round(self) -> None:
        """Do what was ordered, and look at the folder when it is time."""
        self._repository.obey()
        now = time.monotonic()
        if self._seconds and now >= self._due - TOLERANCE:
            self._due = now + self._seconds
            self._repository.poll()
