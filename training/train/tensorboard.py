"""Logs of a training, for TensorBoard to show."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from training.train.trainer import Epoch


class LogError(Exception):
    """The logs cannot be written, since TensorBoard is not installed."""


@contextmanager
def tensorboard(folder: Path) -> Iterator[Callable[[Epoch], None]]:
    """Yield a function that writes an epoch's metrics into a folder of logs. Raises LogError without TensorBoard."""
    try:
        from torch.utils.tensorboard import SummaryWriter  # the one import that may fail: it is an extra
    except ImportError as error:
        raise LogError("--tensorboard needs a package that is not installed: pip install tensorboard") from error
    with SummaryWriter(folder) as writer:

        def write(epoch: Epoch) -> None:
            for name, value in asdict(epoch).items():
                if name != "number":
                    writer.add_scalar(name, value, epoch.number)
            writer.flush()

        yield write
