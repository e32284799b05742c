"""Start processes that run a module of this package, whatever folder the service was started in."""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from gevent.monkey import get_original

ROOT = Path(__file__).parent.parent  # where -m finds this very package
# One arena and no pool of threads: each would take address space, which is what a child's memory is measured by.
ENVIRONMENT = {"MALLOC_ARENA_MAX": "1", "OPENBLAS_NUM_THREADS": "1"}
# Ctrl-C and many supervisors send these to all processes of a service, which finishes what it has begun. A child ends
# with its input, or with its time.
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)
# Not gevent's, which needs an event loop: models are loaded in threads that have none.
posix_spawn = get_original("os", "posix_spawn")


def spawn(arguments: Sequence[str], files: Sequence[int]) -> int:
    """Start Python with these arguments and return the process's id; raises OSError. Signals to stop do not reach it.

    files: what it has as standard input and, if there are two, as standard output.
    """
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    process: int = posix_spawn(
        sys.executable,
        (sys.executable, *arguments),
        os.environ | ENVIRONMENT | {"PYTHONPATH": path},
        file_actions=[(os.POSIX_SPAWN_DUP2, file, place) for place, file in enumerate(files)],
        setsigmask=STOP_SIGNALS,
    )
    return process
