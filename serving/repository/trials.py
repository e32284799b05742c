"""Have a process of its own load a model file first: a graph is a program, and may take any time and memory."""

import os
import sys
from contextlib import suppress
from pathlib import Path
from time import monotonic, time

import msgspec
from gevent.monkey import get_original
from msgspec import Struct

from serving.repository.shared_lines import SharedLines

COMMAND = (sys.executable, "-m", "serving.model.trial")
ROOT = Path(__file__).parent.parent.parent  # where -m finds this very package
# One arena and no pool of threads: each would take address space, which is what the memory is measured by.
ENVIRONMENT = {"MALLOC_ARENA_MAX": "1", "OPENBLAS_NUM_THREADS": "1"}
SECONDS = 15.0  # of the processor: committed models take 0.1 s, and a worker that starts has 60 s for all its files
REFUSAL_SECONDS = 600.0  # in which the other workers, or this one started again, take over a refusal
# Not gevent's, which need an event loop: models are loaded in threads that have none.
posix_spawn, waitpid, close = get_original("os", ["posix_spawn", "waitpid", "close"])


class Verdict(Struct, array_like=True):
    """The outcome of a trial: why the file with this digest is refused, None if it is not; time: of the clock."""

    digest: str
    fault: str | None
    time: float


passed: set[str] = set()  # the digests of files that this process need not have tried again


class Trials:
    """Tries each file once for all workers of a server, one at a time."""

    def __init__(self, verdicts: SharedLines | None = None, seconds: float = SECONDS) -> None:
        """seconds: of the processor, for a file."""
        self._seconds = seconds
        self._verdicts = verdicts or SharedLines()

    def fault(self, graph: bytes, digest: str) -> str | None:
        """Return why a file cannot be loaded; None where it can."""
        if digest in passed:
            return None
        with self._verdicts.locked():
            verdict = self._known(digest)
            if verdict is None:
                verdict = Verdict(digest, _try(graph, self._seconds), time())
                self._verdicts.add(msgspec.json.encode(verdict).decode())
        if not verdict.fault:
            passed.add(digest)
        return verdict.fault

    def _known(self, digest: str) -> Verdict | None:
        for line in self._verdicts.read():
            with suppress(msgspec.DecodeError):  # the line is empty or cut off
                verdict = msgspec.json.decode(line, type=Verdict)
                if verdict.digest == digest and (not verdict.fault or time() < verdict.time + REFUSAL_SECONDS):
                    return verdict
        return None


def _try(graph: bytes, seconds: float) -> str | None:
    """Load a file in a new process; return why that failed."""
    start, answer = monotonic(), b""
    with suppress(OSError):  # it has ended before it read the file
        answer = _run(graph, seconds)
    if answer:
        return msgspec.json.decode(answer, type=str | None)
    if monotonic() >= start + seconds:
        return f"to load it and run its golden samples takes more than {seconds:g} s; use a smaller network"
    return "the process that loaded it crashed; export it again"


def _run(graph: bytes, seconds: float) -> bytes:
    """Return what the process writes; raises OSError."""
    (its_input, to_process), (from_process, its_output) = os.pipe(), os.pipe()
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    process = posix_spawn(
        sys.executable,
        (*COMMAND, str(seconds)),
        os.environ | ENVIRONMENT | {"PYTHONPATH": path},
        file_actions=[(os.POSIX_SPAWN_DUP2, its_input, 0), (os.POSIX_SPAWN_DUP2, its_output, 1)],
    )
    close(its_input)
    close(its_output)
    try:
        with os.fdopen(from_process, "rb") as answer:
            with os.fdopen(to_process, "wb") as request:
                request.write(graph)
            return answer.read()
    finally:
        with suppress(ChildProcessError):  # gevent waits for children of its own, and takes others along
            waitpid(process, 0)
