"""Loss and accuracy of an epoch so far."""

import time
from collections.abc import Callable

from torch import Tensor

# Micro-batches, or seconds, between two reports: reading a loss waits for the device.
REPORT_INTERVAL, REPORT_SECONDS = 10, 10

Report = Callable[[int, float, float], None]  # gets images seen, loss and accuracy


class RunningMetrics:
    """Running means of loss and accuracy over an epoch, kept on the device and rarely read."""

    def __init__(self, report: Report, seen_before: int) -> None:
        """seen_before: the images of the epochs before this one."""
        self._report = report
        self._seen_before = seen_before
        self._reported = time.perf_counter()
        self._micro_batches = 0
        self._images = 0
        self._seen = 0
        self._loss: Tensor | float = 0.0
        self._hits: Tensor | int = 0

    def add(self, loss: Tensor, hits: Tensor, processes: int) -> None:
        """Add a micro-batch: the sum of its losses, and which images are right [n].

        processes: so many processes add as many images each.
        """
        self._micro_batches += 1
        self._images += len(hits)
        self._seen += len(hits) * processes
        self._loss = self._loss + loss
        self._hits = self._hits + hits.sum()
        if self._micro_batches % REPORT_INTERVAL == 0 or time.perf_counter() - self._reported > REPORT_SECONDS:
            self.report()

    def report(self) -> None:
        """Report images seen, loss and accuracy."""
        self._reported = time.perf_counter()
        self._report(self._seen_before + self._seen, self.loss, self.accuracy)

    @property
    def loss(self) -> float:
        return float(self._loss) / self._images

    @property
    def accuracy(self) -> float:
        return float(self._hits) / self._images
