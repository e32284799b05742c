"""Have a process of its own load a model file first: a graph is a program, and may take any time and memory."""

import os
from contextlib import ExitStack, suppress
from time import monotonic
from typing import BinaryIO

import msgspec
from gevent.monkey import get_original
from msgspec import Struct

from serving.child import spawn
from serving.repository.shared_lines import SharedLines

ARGUMENTS = ("-m", "serving.model.trial")
TRIAL_SECONDS = 15.0  # of the processor: committed models take 0.1 s; a worker that starts has 60 s for all its files
REFUSAL_SECONDS = 600.0  # in which the other workers, or this one started again, take over a refusal
waitpid = get_original("os", "waitpid")  # not gevent's, which needs an event loop: threads that load have none


class Verdict(Struct, array_like=True):
    """The outcome of a trial: why the file with this digest is refused, None if not; time: by the monotonic clock."""

    digest: str
    fault: str | None
    time: float


passed: set[str] = set()  # the digests of files that this process need not have tried again


class Trials:
    """Tries each file once for all workers of a server, one at a time."""

    def __init__(self, verdicts: SharedLines | None = None, seconds: float = TRIAL_SECONDS) -> None:
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
                try:
                    fault = _try(graph, self._seconds)
                except OSError as error:  # says nothing of the file, so the other workers try it themselves
                    return f"no process can be started to try it: {error.strerror}; load it again a little later"
                verdict = Verdict(digest, fault, monotonic())
                self._verdicts.add(msgspec.json.encode(verdict).decode())
        if not verdict.fault:
            passed.add(digest)
        return verdict.fault

    def _known(self, digest: str) -> Verdict | None:
        for line in self._verdicts.read():
            with suppress(msgspec.DecodeError):  # the line is empty or cut off
                verdict = msgspec.json.decode(line, type=Verdict)
                if verdict.digest == digest and (not verdict.fault or monotonic() < verdict.time + REFUSAL_SECONDS):
                    return verdict
        return None


def _try(graph: bytes, seconds: float) -> str | None:
    """Load a file in a new process; return why that failed. Raises OSError where no process can be started."""
    start = monotonic()
    answer = _run(graph, seconds)
    if answer:
        return msgspec.json.decode(answer, type=str | None)
    if monotonic() >= start + seconds:
        return f"to load it and run its golden samples takes more than {seconds:g} s; use a smaller network"
    return "the process that loaded it crashed; export it again"


def _run(graph: bytes, seconds: float) -> bytes:
    """Return what the process writes; nothing if it has ended without. Raises OSError where it cannot be started."""
    with ExitStack() as stack:
        its_input, request = _pipe(stack)
        answer, its_output = _pipe(stack)
        process = spawn((*ARGUMENTS, str(seconds)), [its_input.fileno(), its_output.fileno()])
        its_input.close()
        its_output.close()
        try:
            with suppress(OSError), request:  # it has ended before it read the file
                request.write(graph)
            return answer.read()
        finally:
            with suppress(ChildProcessError):  # gevent waits for children of its own, and takes others along
                waitpid(process, 0)


def _pipe(stack: ExitStack) -> tuple[BinaryIO, BinaryIO]:
    """Return the reading and the writing end of a pipe, which the stack closes."""
    reader, writer = os.pipe()
    return stack.enter_context(os.fdopen(reader, "rb")), stack.enter_context(os.fdopen(writer, "wb"))
