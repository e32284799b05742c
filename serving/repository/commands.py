"""Commands to all workers, published by the one that was asked: load or unload a model."""

import json
import os
import shutil
import tempfile
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

UNLOAD, LOAD = "unload", "load"
ACK_PREFIX = ".done"  # of the files in which workers acknowledge commands; their process ids follow
ACK_TIMEOUT = 10.0  # seconds that all workers have to acknowledge


@dataclass(frozen=True)
class Command:
    """The last command for a model, LOAD or UNLOAD; the token differs from that of the one before."""

    action: str
    token: str


class WorkerCommands:
    """A folder that the workers share, with a file for each model that a command was published for."""

    def __init__(self, folder: Path | None = None, ack_timeout: float = ACK_TIMEOUT) -> None:
        """Without a folder, this process is the only worker. ack_timeout: seconds that wait() waits."""
        self.ack_timeout = ack_timeout
        self._folder = folder or Path(tempfile.mkdtemp(prefix="thimble-commands-"))
        self._folder.mkdir(exist_ok=True)
        self._known: dict[str, Command] = {}
        if folder is None:
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    def publish(self, name: str, action: str) -> None:
        """Publish a command to all workers; name: a model's, so that no other file is written."""
        self._write(name, action)

    def read(self) -> dict[str, Command]:
        """Return the commands by model. Where the folder was removed, it gets them again, for workers to come."""
        try:
            with os.scandir(self._folder) as entries:
                self._known |= {entry.name: _command(entry) for entry in entries if not entry.name.startswith(".")}
        except FileNotFoundError:
            with suppress(OSError):
                for name, command in self._known.items():
                    self._write(name, command.action)
        return dict(self._known)

    def acknowledge(self, commands: Mapping[str, Command]) -> None:
        """Record that this worker has carried out these commands."""
        tokens = {name: command.token for name, command in commands.items()}
        self._write(f"{ACK_PREFIX}{os.getpid()}", json.dumps(tokens))

    def wait(self, name: str) -> bool:
        """Return whether all workers acknowledge a model's last command in time."""
        deadline = time.monotonic() + self.ack_timeout
        while not all(tokens.get(name) == self.read()[name].token for tokens in self._acknowledged()):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def _acknowledged(self) -> Iterator[dict[str, str]]:
        """Yield the tokens that each living worker has acknowledged."""
        for path in self._folder.glob(f"{ACK_PREFIX}*"):
            try:
                os.kill(int(path.name.removeprefix(ACK_PREFIX)), 0)
            except (ProcessLookupError, PermissionError):  # the latter: another user's process has its id now
                path.unlink(missing_ok=True)
            else:
                yield json.loads(path.read_text())

    def _write(self, name: str, text: str) -> None:
        self._folder.mkdir(exist_ok=True)
        file, path = tempfile.mkstemp(prefix=".new", dir=self._folder)
        with os.fdopen(file, "w") as output:
            output.write(text)
        Path(path).replace(self._folder / name)


def _command(entry: os.DirEntry[str]) -> Command:
    status = entry.stat()
    return Command(Path(entry).read_text(), f"{status.st_mtime_ns}.{status.st_ino}")
