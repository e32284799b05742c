"""The progress of a command, on standard error: bars on a terminal, otherwise plain lines."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Self, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import track as bar_of

T = TypeVar("T")

CONSOLE = Console(stderr=True)


def stage(name: str) -> None:
    """Print a line for what begins."""
    CONSOLE.print(name, markup=False, highlight=False, soft_wrap=True)


def track(name: str, items: Iterable[T], total: int) -> Iterator[T]:
    """Yield the items; show on a terminal how many of them are done and the time left, otherwise the name alone."""
    if CONSOLE.is_interactive:
        yield from bar_of(items, name, total, console=CONSOLE)
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
    """The progress of one training: a bar by images, or a line an epoch where standard error is not a terminal."""

    def __init__(self, epochs: int, images: int) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[metrics]}"),
            TimeRemainingColumn(),
        )
        self._epochs = epochs
        self._images = images
        self._progress = Progress(*columns, console=CONSOLE, disable=not CONSOLE.is_interactive)
        self._task = self._progress.add_task("", total=epochs * images, metrics="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def update(self, images: int, loss: float, accuracy: float) -> None:
        """Show loss and accuracy of the epoch so far; images: the number of all images seen since the first epoch."""
        epoch = min(images // self._images + 1, self._epochs)
        self._progress.update(
            self._task,
            completed=images,
            description=f"epoch {epoch}/{self._epochs}",
            metrics=f"loss {loss:.4f}  accuracy {accuracy:.4f}",
        )

    def end_epoch(self, epoch: int, val_loss: float, val_accuracy: float, seconds: float) -> None:
        """Print the line of an epoch that took so many seconds."""
        if self._progress.disable:
            left = timedelta(seconds=round((self._epochs - epoch) * seconds))
            metrics = f"validation loss {val_loss:.4f}, accuracy {val_accuracy:.4f}"
            stage(f"epoch {epoch}/{self._epochs}: {metrics}, {left} left")
