"""What was asked of all workers, though it was asked of one: models to be loaded or unloaded."""

import json
import os
import shutil
import tempfile
import time
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

UNLOAD, LOAD = "unload", "load"
DONE = ".done"  # begins the files in which the workers say what they have done; their process ids follow
PATIENCE = 10.0  # seconds in which all workers should have done what was asked


@dataclass(frozen=True)
class Order:
    """The last that was asked of a model; the token tells it from the one before."""

    unload: bool
    token: str


class Orders:
    """A folder that the workers share, with a file for each model of which anything was asked."""

    def __init__(self, folder: Path | None = None) -> None:
        """Without a folder, there is one worker alone."""
        self._folder = folder or Path(tempfile.mkdtemp(prefix="thimble-orders-"))
        self._folder.mkdir(exist_ok=True)
        if folder is None:
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    def give(self, name: str, what: str) -> None:
        """Ask all workers for it; name: a model's, so that no other file is written."""
        self._write(name, what)

    def read(self) -> dict[str, Order]:
        """Return the orders by model."""
        with os.scandir(self._folder) as entries:
            return {entry.name: _order(entry) for entry in entries if not entry.name.startswith(".")}

    def done(self, orders: Mapping[str, Order]) -> None:
        """Say that this worker has done these."""
        self._write(f"{DONE}{os.getpid()}", json.dumps({name: order.token for name, order in orders.items()}))

    def wait(self, name: str) -> bool:
        """Return whether all workers have done what was last asked of a model, as soon as that is known."""
        due = time.monotonic() + PATIENCE
        while not all(done.get(name) == self.read()[name].token for done in self._workers()):
            if time.monotonic() > due:
                return False
            time.sleep(0.05)
        return True

    def _workers(self) -> Iterator[dict[str, str]]:
        """Yield what each living worker has done."""
        for path in self._folder.glob(f"{DONE}*"):
            try:
                os.kill(int(path.name.removeprefix(DONE)), 0)
            except ProcessLookupError:
                path.unlink(missing_ok=True)
            else:
                yield json.loads(path.read_text())

    def _write(self, name: str, text: str) -> None:
        file, path = tempfile.mkstemp(prefix=".new", dir=self._folder)
        with os.fdopen(file, "w") as output:
            output.write(text)
        Path(path).replace(self._folder / name)


def _order(entry: os.DirEntry[str]) -> Order:
    status = entry.stat()
    return Order(Path(entry).read_text() == UNLOAD, f"{status.st_mtime_ns}.{status.st_ino}")
