"""python -m serving.imaging.decoder: decodes images for a service, each within limits of time and memory.

Standard input is a socket over which sockets come, each with a byte that says how nice to be. For each a process is
forked, which reads jobs from it and answers them until it is closed. The kernel ends a process whose time is up,
whatever its decoder is doing; the socket's end tells the service.
"""

import ctypes
import os
import signal
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from serving import address_space
from serving.errors import Refusal
from serving.imaging.decoding import DecodedImage, PixelBudget, configure_pillow, decode, read_header

BYTES_PER_PIXEL = 24  # of address space: of all formats lossless WebP needs the most, 19 for 16 of memory
SPARE_BYTES = 32 << 20  # beside them: a HEIC of few pixels needs 12 MB
UPLOAD_COPIES = 4  # of an upload's bytes, as files and in decoders
CLOCK_SECONDS = 4  # for each of the processor, which others may use too
PR_SET_PDEATHSIG = 1  # of Linux
STDERR = 2  # a process's file for messages

LENGTHS = struct.Struct(">IQ")
Message = TypeVar("Message", bound=Struct)


class Job(Struct, array_like=True):
    """An image to decode; its bytes follow. pixels_left: for the request. seconds: of the processor."""

    max_pixels: int
    pixels_left: int
    min_side: int
    seconds: float


class Outcome(Struct, array_like=True):
    """A decoded image, whose pixels follow; or the code and the detail of a refusal.

    out_of_memory: that was the reason.
    """

    pixels_left: int
    mode: str = ""
    size: tuple[int, int] = (0, 0)
    steps: tuple[str, ...] = ()
    code: str = ""
    detail: str = ""
    out_of_memory: bool = False


def send(connection: Any, message: Struct, content: bytes) -> None:
    """Send a message and the bytes that follow it; raises OSError."""
    head = msgspec.msgpack.encode(message)
    connection.sendall(LENGTHS.pack(len(head), len(content)) + head)
    connection.sendall(content)


def receive(connection: Any, kind: type[Message]) -> tuple[Message, bytes]:
    """Return the next message and the bytes that follow it; raises EOFError when there is none, and OSError."""
    head, content = LENGTHS.unpack(_read(connection, LENGTHS.size))
    return msgspec.msgpack.decode(_read(connection, head), type=kind), _read(connection, content)


def run(job: Job, upload: bytes) -> tuple[Outcome, bytes]:
    """Decode an image within the limits; what follows the outcome are its pixels, row by row."""
    budget = PixelBudget(job.max_pixels, job.pixels_left)
    try:
        with _limits(job.seconds):
            image, steps = _decode(upload, budget, job.min_side)
            return Outcome(budget.left, image.mode, image.size, steps), image.tobytes()
    except Refusal as refusal:
        if isinstance(refusal.__cause__, MemoryError):
            return _out_of_memory(refusal, job.pixels_left, budget.left), b""
        return Outcome(budget.left, code=refusal.code, detail=str(refusal)), b""


def serve(connection: socket.socket) -> None:
    """Answer jobs until the connection ends."""
    while True:
        try:
            job, upload = receive(connection, Job)
            send(connection, *run(job, upload))
        except (EOFError, OSError):  # the service has ended, or waits no longer
            return


def main() -> None:
    """Fork a process for each socket that comes over standard input, until that ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel forgets processes that have ended
    configure_pillow()
    _silence_libraries()
    control = _blocking(sys.stdin.fileno())
    _end_with_parent()
    while True:
        niceness, sockets, _, _ = socket.recv_fds(control, 1, 1)
        if not niceness:
            return
        if not os.fork():
            _end_with_parent()
            control.close()
            os.nice(niceness[0])
            serve(_blocking(sockets[0]))
            os._exit(0)
        os.close(sockets[0])


def _decode(upload: bytes, budget: PixelBudget, min_side: int) -> DecodedImage:
    """Decode with as much memory as any image may take for the header, and then as the header's pixels may take."""
    before = budget.left
    _limit_memory(budget.max_pixels, upload)
    header = read_header(upload, budget)
    _limit_memory(before - budget.left, upload)
    return decode(header, min_side)


def _out_of_memory(refusal: Refusal, before: int, after: int) -> Outcome:
    detail = f"The image's {before - after:,} pixels take too much memory to decode. Save it again, as JPEG or PNG."
    return Outcome(after, code=refusal.code, detail=detail, out_of_memory=True)


@contextmanager
def _limits(seconds: float) -> Iterator[None]:
    """End this process after so many seconds of the processor, or a few times as many on the clock."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, CLOCK_SECONDS * seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        address_space.lift_limit()


def _limit_memory(pixels: int, upload: bytes) -> None:
    needed = BYTES_PER_PIXEL * pixels + UPLOAD_COPIES * len(upload) + SPARE_BYTES
    address_space.limit(address_space.used() + needed)


def _blocking(file: int) -> socket.socket:
    """Return a socket that came from gevent, where sockets do not block."""
    connection = socket.socket(fileno=file)
    connection.setblocking(True)
    return connection


def _silence_libraries() -> None:
    """Discard what libraries print: libtiff has a line for each damaged row, of which a small file has a million.

    Python's own tracebacks still go to standard error.
    """
    sys.stderr = os.fdopen(os.dup(STDERR), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), STDERR)


def _end_with_parent() -> None:
    """Have the kernel end this process with its parent, in the midst of an image too; elsewhere its time ends it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _read(connection: Any, count: int) -> bytes:
    content = bytearray(count)
    view = memoryview(content)
    while view:
        received = connection.recv_into(view)
        if not received:
            raise EOFError
        view = view[received:]
    return bytes(content)


if __name__ == "__main__":
    main()
