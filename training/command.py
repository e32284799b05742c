"""How a command ends: with a line for a refusal, for Ctrl-C or SIGTERM, and never with a traceback for any of them."""

import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

REFUSED, INTERRUPTED, TERMINATED = 1, 130, 143  # a shell gives the latter two itself where a signal ended the process

NO_ROOM = errno.ENOSPC, errno.EDQUOT, errno.EFBIG


class Terminated(KeyboardInterrupt):
    """SIGTERM came, as from kill, a container or a batch system: what Ctrl-C would leave tidy is left so too."""


def raise_terminated(number: int, frame: FrameType | None) -> None:
    """Handle SIGTERM."""
    raise Terminated


def quit_on_ctrl_c() -> None:
    """Have Ctrl-C end the process at once, while a command imports packages, which takes seconds."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # in the background a shell has it ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def exit_status(
    name: str, command: Callable[[], object], refusals: tuple[type[Exception], ...], interrupted: str
) -> int:
    """Run a command and return its exit status; say on standard error why it was refused, interrupted or terminated.

    name: of the command, before a refusal. refusals: the errors whose message is for people. interrupted: what became
    of the work, and what to do.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    before = signal.getsignal(signal.SIGTERM)
    if before is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, raise_terminated)
    try:
        command()
    except KeyboardInterrupt as error:
        how, status = ("Terminated", TERMINATED) if isinstance(error, Terminated) else ("Interrupted", INTERRUPTED)
        sys.stderr.write(f"{how}: {interrupted}\n")
        return status
    except refusals as error:
        sys.stderr.write(f"{name}: {message_of(error)}\n")
        return REFUSED
    finally:
        if before is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, before)
    return 0


def message_of(error: Exception) -> str:
    """Return what an error says; of one of the system the file and the reason, without the number."""
    if not (isinstance(error, OSError) and error.strerror):
        return str(error)
    file = "" if error.filename is None else str(error.filename)
    return f"{file if file.isprintable() else ascii(file)}: {error.strerror}" if file else error.strerror


@contextmanager
def full_disk_told(folder: Path, advice: str) -> Iterator[None]:
    """Inside the block, which writes in a folder, an OSError for want of room names the folder and says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise OSError(error.errno, f"{error.strerror}: {advice}", str(folder)) from error


def check_folder(folder: Path, option: str) -> None:
    """Raise OSError, before any work, where a folder cannot be made or written in."""
    there = next((place for place in (folder, *folder.parents) if os.path.lexists(place)), folder)
    if os.path.lexists(there) and not there.is_dir():
        kind = "a link to what is not there" if there.is_symlink() else "a file"
        raise NotADirectoryError(f"{folder}: {there} is {kind}; name another folder with {option}")
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(f"{folder}: nothing may be written in {there}; name another folder with {option}")
