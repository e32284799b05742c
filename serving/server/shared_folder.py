"""The folder in which the workers of a server share counts and commands: in memory, where that has room.

Its processes hold a lock on it, by which the next server tells a folder in use from one that a killed server left.
Process ids would not do: containers that share their memory (--ipc=host) each have a first process.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from serving.settings import SHARED_FOLDER_VARIABLE, shared_folder

ROOM_BYTES = 1_048_576  # for a worker's counts: writing to a mapped file that finds no room kills the process
PREFIX = "thimble-shared"  # the master's process id follows


def with_room(folders: Iterable[Path], size: int) -> Path | None:
    """Return the first of these folders that has room for so many bytes."""
    return next((folder for folder in folders if folder.is_dir() and _has_room(folder, size)), None)


def temporary_folders() -> Iterator[Path]:
    """Yield the folder of temporary files, if there is one: a container that is read-only may have none."""
    with suppress(FileNotFoundError):
        yield Path(tempfile.gettempdir())


def make_shared_folder(parent: Path | None) -> None:
    """Make it, for the processes that this one starts; None: they are to share nothing."""
    if not parent:
        leave_shared_folder()
        return
    _remove_leftovers(parent)
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}-{os.getpid()}-", dir=parent))
    with suppress(OSError):  # a file system may have no locks
        _lock(folder, fcntl.LOCK_SH)
    # Before prometheus_client is imported, which reads the variable once.
    os.environ[SHARED_FOLDER_VARIABLE] = str(folder)


def restore_shared_folder() -> bool:
    """Make it again if it was removed, as when the user who started the service logs out; return whether it was."""
    folder = shared_folder()
    if folder is None or folder.is_dir():
        return False
    with suppress(OSError):
        folder.mkdir(mode=0o700)
        _lock(folder, fcntl.LOCK_SH)
    return folder.is_dir()


def leave_shared_folder() -> None:
    """Have this process share nothing."""
    os.environ.pop(SHARED_FOLDER_VARIABLE, None)


def remove_shared_folder() -> None:
    """Remove it, if there is one."""
    if folder := shared_folder():
        shutil.rmtree(folder, ignore_errors=True)


def _remove_leftovers(parent: Path) -> None:
    """Remove the folders that killed servers left."""
    for left in parent.glob(f"{PREFIX}-*-*"):
        with suppress(OSError):  # in use, or another user's
            descriptor = _lock(left, fcntl.LOCK_EX)
            shutil.rmtree(left, ignore_errors=True)
            os.close(descriptor)


def _lock(folder: Path, kind: int) -> int:
    """Lock a folder and return its descriptor, which holds the lock until it is closed in all processes.

    Raises BlockingIOError where another lock is in the way, and other kinds of OSError.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _has_room(folder: Path, size: int) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(size))
    except OSError:
        return False
    return True
