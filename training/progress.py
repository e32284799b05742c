"""The progress of a command, on standard error: bars on a terminal, otherwise plain lines."""

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Self, TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TransferSpeedColumn,
)
from rich.progress import track as bar_of

T = TypeVar("T")

CONSOLE = Console(stderr=True)
LINE_SECONDS = 30  # between the lines of a training without a terminal, at least, in an epoch that takes longer


def say(console: Console, message: str, style: str | None = None) -> None:
    """Print a line as it is: nothing in it is markup, and a path is not broken at the end of the terminal's line.

    Bytes of a path that are no UTF-8 are printed as their codes.
    """
    text = message.encode("utf-8", "backslashreplace").decode()
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def stage(name: str) -> None:
    """Print a line for what begins."""
    say(CONSOLE, name)


def track(name: str, items: Iterable[T], total: int) -> Iterator[T]:
    """Yield the items; show on a terminal how many of them are done and the time left, otherwise the name alone."""
    if CONSOLE.is_interactive:
        yield from bar_of(items, escape(name), total, console=CONSOLE)
    else:
        stage(name)
        yield from items


class DownloadBar:
    """The progress bar of one download, with the methods that pooch calls."""

    def __init__(self, name: str) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        self._progress = Progress(*columns, console=CONSOLE)
        self._task = self._progress.add_task(name, total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    @property
    def total(self) -> float | None:
        """The size of the file in bytes, which pooch learns from the server; None where the server does not say."""
        return self._progress.tasks[0].total

    @total.setter
    def total(self, size: float) -> None:
        self._progress.update(self._task, total=size or None)

    def update(self, size: int) -> None:
        """Advance by so many bytes."""
        self._progress.advance(self._task, size)

    def reset(self) -> None:
        """Go back to 0; pooch does this to end on the exact size."""
        self._progress.update(self._task, completed=0)

    def close(self) -> None:
        """Keep the bar as it is; pooch calls this at the end."""


class TrainingBar:
    """The progress of one training: a bar by time, or lines where standard error is not a terminal."""

    def __init__(self, epochs: int | None, images: int, clock: Callable[[], float] = time.perf_counter) -> None:
        """epochs: how many there will be; None where time decides. images: of an epoch. clock: returns seconds."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[metrics]}"),
        )
        self._epochs = epochs
        self._images = images
        self._clock = clock
        self._left = 0.0
        self._progress = Progress(*columns, console=CONSOLE, disable=not CONSOLE.is_interactive)
        self._task = self._progress.add_task("", total=None, metrics="")

    def __enter__(self) -> Self:
        self._started = self._last_line = self._clock()
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def update(self, images: int, loss: float, accuracy: float, seconds_left: float) -> None:
        """Show loss and accuracy of the epoch so far, and the time left.

        images: the number of all images seen since the first epoch.
        """
        self._left = seconds_left
        passed = self._clock() - self._started
        epoch = self._named(max(1, -(-images // self._images)))
        metrics = f"loss {loss:.4f}  accuracy {accuracy:.4f}  {self._time_left}"
        self._progress.update(
            self._task, completed=passed, total=passed + seconds_left, description=epoch, metrics=metrics
        )
        if self._progress.disable and self._clock() - self._last_line >= LINE_SECONDS:
            self._print(f"{epoch}: loss {loss:.4f}, accuracy {accuracy:.4f}, {self._time_left}")

    def end_epoch(self, epoch: int, val_loss: float, val_accuracy: float) -> None:
        """Print the line of an epoch."""
        if self._progress.disable:
            metrics = f"validation loss {val_loss:.4f}, accuracy {val_accuracy:.4f}"
            self._print(f"{self._named(epoch)}: {metrics}, {self._time_left}")

    @property
    def _time_left(self) -> str:
        return f"{timedelta(seconds=round(self._left))} left"

    def _named(self, epoch: int) -> str:
        return f"epoch {epoch}/{self._epochs}" if self._epochs else f"epoch {epoch}"

    def _print(self, line: str) -> None:
        self._last_line = self._clock()
        stage(line)
