"""Where an epoch stands: loss and accuracy so far."""

from collections.abc import Callable

from torch import Tensor

REPORT_EVERY = 10  # parts between two updates of the bar: reading a loss waits for the device

Report = Callable[[int, float, float], None]  # gets images seen, loss and accuracy


class Tally:
    """Running means of loss and accuracy over an epoch, kept on the device and read only now and then."""

    def __init__(self, report: Report, seen_before: int) -> None:
        self._report = report
        self._seen_before = seen_before
        self._parts = 0
        self._images = 0
        self._seen = 0
        self._loss: Tensor | float = 0.0
        self._hits: Tensor | int = 0

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor, processes: int) -> None:
        """Count a part: the sum of its losses, logits [n, classes] and labels [n]; as much is seen by each process."""
        self._parts += 1
        self._images += len(labels)
        self._seen += len(labels) * processes
        self._loss = self._loss + loss
        self._hits = self._hits + (logits.argmax(1) == labels).sum()
        if self._parts % REPORT_EVERY == 0:
            self.tell()

    def tell(self) -> None:
        """Report where the training stands."""
        self._report(self._seen_before + self._seen, self.loss, self.accuracy)

    @property
    def loss(self) -> float:
        return float(self._loss) / self._images

    @property
    def accuracy(self) -> float:
        return float(self._hits) / self._images
