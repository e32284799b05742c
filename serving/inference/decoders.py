"""Decode images in processes that can be ended: no image blocks the event loop, or other images for long."""

import os
import signal
import weakref
from collections.abc import Callable
from contextlib import suppress
from time import monotonic, perf_counter, sleep

from gevent import socket
from gevent.lock import BoundedSemaphore
from PIL import Image

from serving.child import spawn
from serving.errors import BadRequest, Overloaded, TooManyPixels, UnreadableImage
from serving.imaging.decoder import Job, Outcome, receive, send
from serving.imaging.decoding import DecodedImage, PixelBudget
from serving.inference.timings import Timings

# Seconds of the processor. Photos of 12 megapixels take 0.03 s (JPEG) to 0.45 s, large HEICs 0.9: those begin again.
QUICK_SECONDS = 0.5
SLOW_SECONDS = 5.0  # 50 megapixels of the slowest format take 2 s
SLOW_NICENESS = 3  # a quick image that competes for the core gets two thirds of it
# On the clock: a request's last image must have begun by then. A service that stops gives its requests 30 s.
REQUEST_SECONDS = 15.0
MAX_JOBS = 1_000  # of a process: decoders may leak memory
END_SECONDS = 2.0  # for which the processes' parent may take to end

ARGUMENTS = ("-m", "serving.imaging.decoder")
REFUSALS = {kind.code: kind for kind in (BadRequest, TooManyPixels, UnreadableImage)}

Answer = tuple[Outcome, bytes]


class DecoderParent:
    """A process of one thread, which forks those that decode: this process has many threads, and must not fork."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair()
        try:
            with theirs:
                pid = spawn(ARGUMENTS, [theirs.fileno()])
        except OSError:
            self._control.close()
            raise
        self.close = weakref.finalize(self, _end, pid, self._control)

    def fork(self, niceness: int) -> socket.socket:
        """Return the connection to a new process; raises OSError when there is no parent any more."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                socket.send_fds(self._control, [bytes([niceness])], [theirs.fileno()])
        except OSError:
            ours.close()
            raise
        return ours


class Lane:
    """Decodes one image at a time, in a process that is replaced when it has ended."""

    def __init__(self, seconds: float, niceness: int, fork: Callable[[int], socket.socket]) -> None:
        """seconds: of the processor, for an image."""
        self.seconds = seconds
        self._niceness = niceness
        self._fork = fork
        self._turn = BoundedSemaphore()
        self._connection: socket.socket | None = None
        self._jobs = 0

    def run(self, job: Job, upload: bytes, timeout: float, timings: Timings) -> Answer | None:
        """Return the outcome for an image and its pixels; None when its process has ended. Raises Overloaded."""
        if not self._turn.acquire(timeout=timeout):
            raise Overloaded(
                f"The request waited for {timeout:.3g} s while other images were decoded; ask again a little later."
            )
        start, answer = perf_counter(), None
        try:
            with suppress(EOFError, OSError):
                answer = self._ask(job, upload)
        finally:
            if answer is None or self._jobs % MAX_JOBS == 0:
                self.close()
            timings.decode += perf_counter() - start
            self._turn.release()
        return answer

    def close(self) -> None:
        """End the process; one that decodes an image ends after it."""
        if self._connection is not None:
            self._end()
        self._connection = None

    def _ask(self, job: Job, upload: bytes) -> Answer:
        if self._connection is None:
            self._connection = self._fork(self._niceness)
            self._end = weakref.finalize(self, self._connection.close)
        self._jobs += 1
        send(self._connection, job, upload)
        return receive(self._connection, Outcome)


class Decoders:
    """Decodes images in two lanes: one that takes long in the quick one begins again in the slow one."""

    def __init__(self, timeout: float, on_ended: Callable[[str], object] = lambda _: None) -> None:
        """timeout: seconds for which an image may wait for its turn, in each lane.

        on_ended: is told of each image that was given up, and why: "time", "memory" or "crash".
        """
        self._timeout = timeout
        self._on_ended = on_ended
        self._parent: DecoderParent | None = None
        self._quick = Lane(QUICK_SECONDS, 0, self._fork)
        self._slow = Lane(SLOW_SECONDS, SLOW_NICENESS, self._fork)

    def start(self) -> DecoderParent:
        """Start the processes' parent, if it is not running: so the first image need not wait for it."""
        if self._parent is None:
            self._parent = DecoderParent()
        return self._parent

    def close(self) -> None:
        """End all processes."""
        self._quick.close()
        self._slow.close()
        if self._parent is not None:
            self._parent.close()
        self._parent = None

    def decode(
        self, upload: bytes, budget: PixelBudget, min_side: int, timings: Timings, deadline: float
    ) -> DecodedImage:
        """Decode an upload as serving.imaging.decoding does; raises Overloaded as well.

        deadline: by the monotonic clock; when the image must have begun.
        """
        for lane in (self._quick, self._slow):
            timeout = min(self._timeout, deadline - monotonic())
            if timeout <= 0:
                raise Overloaded(
                    f"The request's images took more than {REQUEST_SECONDS:g} s; send this one in another request."
                )
            job, before = Job(budget.max_pixels, budget.left, min_side, lane.seconds), timings.decode
            if answer := lane.run(job, upload, timeout, timings):
                return self._image(*answer, budget)
        raise self._given_up(timed_out=timings.decode - before >= SLOW_SECONDS)

    def _fork(self, niceness: int) -> socket.socket:
        try:
            return self.start().fork(niceness)
        except OSError:  # the parent was killed
            self._parent = None
        try:
            return self.start().fork(niceness)
        except OSError as error:
            raise Overloaded(
                f"No process can be started to decode the image: {error.strerror}; ask again a little later."
            ) from error

    def _image(self, outcome: Outcome, pixels: bytes, budget: PixelBudget) -> DecodedImage:
        budget.left = outcome.pixels_left
        if outcome.out_of_memory:
            self._on_ended("memory")
        if outcome.code:
            raise REFUSALS[outcome.code](outcome.detail)
        return DecodedImage(Image.frombytes(outcome.mode, outcome.size, pixels), outcome.steps)

    def _given_up(self, timed_out: bool) -> UnreadableImage:
        self._on_ended("time" if timed_out else "crash")
        if not timed_out:
            return UnreadableImage("The image makes its decoder fail. Save it again, as JPEG or PNG.")
        return UnreadableImage(
            f"The image takes more than {SLOW_SECONDS:g} s to decode. Make it smaller, or save it again as JPEG or PNG."
        )


def _end(process: int, control: socket.socket) -> None:
    """End the parent and the processes that it forked: close its standard input, and kill it if that takes too long."""
    control.close()
    end = monotonic() + END_SECONDS
    with suppress(ChildProcessError):  # gevent waits for children of its own, and takes others along
        while not os.waitpid(process, os.WNOHANG)[0]:
            if monotonic() > end:
                os.kill(process, signal.SIGKILL)
                os.waitpid(process, 0)
                return
            sleep(0.002)
