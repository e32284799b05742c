"""Poll the model folder and the commands to workers, in a greenlet beside the requests."""

import logging
import math
import time

import gevent

from serving.repository.repository import Repository

SLOW_ROUND_SECONDS = 60.0  # a round that takes longer is logged
TOLERANCE = 0.5  # seconds: a poll that is due before the next tick is due now

log = logging.getLogger(__name__)


class Poller:
    """Has the repository follow its folder; call tick() about once a second."""

    def __init__(self, repository: Repository, interval: float, warn_after: float = SLOW_ROUND_SECONDS) -> None:
        """interval: seconds from one poll of the folder to the next; 0 polls only when a load is commanded.

        warn_after: seconds after which a round that still runs is logged.
        """
        self._repository = repository
        self._interval = interval
        self._due = time.monotonic() + interval
        self._round: gevent.Greenlet | None = None
        self._warn_after = warn_after
        self._warn_at = math.inf

    def tick(self) -> None:
        """Start a round, unless one is running; returns at once."""
        now = time.monotonic()
        if self._round is None or self._round.dead:
            self._round = gevent.spawn(self.poll)
            self._warn_at = now + self._warn_after
        elif now > self._warn_at:
            log.error(
                "reading the model folder has taken %g s so far: until it ends, no new model is loaded",
                self._warn_after,
            )
            self._warn_at = math.inf

    def poll(self) -> None:
        """Carry out new commands, and poll the folder when it is due."""
        self._repository.run_commands()
        now = time.monotonic()
        if self._interval and now >= self._due - TOLERANCE:
            self._due = now + self._interval
            self._repository.poll()
