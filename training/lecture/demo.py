"""What the two demos share: a training with its log, its history and its test."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from torch.nn import functional

from training.datasets.images import DataSet, Images
from training.lecture.agreement import Row, at_least, at_most
from training.lecture.plots import COLOURS, draw
from training.lecture.section import Grid, Plot
from training.recipes import Recipe
from training.train import Fitted, fit
from training.train.course import Epoch
from training.trained import split

ROWS, COLUMNS = 3, 8  # of the sample figure


@dataclass(frozen=True)
class Printed:
    """What the lecture prints of a demo: mean loss and accuracy on the test images."""

    loss: float
    accuracy: float


@dataclass(frozen=True)
class Score:
    """Mean loss and accuracy on n test images; spread: the standard deviation of the loss from image to image."""

    loss: float
    accuracy: float
    spread: float
    n: int

    @classmethod
    def of(cls, fitted: Fitted, test: Images) -> "Score":
        """Measure a trained network."""
        logits = fitted.observe(test.pixels).logits
        losses = functional.cross_entropy(logits.double(), test.labels, reduction="none")
        right = int((logits.argmax(1) == test.labels).sum())
        return cls(float(losses.mean()), right / len(test), float(losses.std()), len(test))

    def beside(self, name: str, printed: Printed) -> tuple[Row, Row]:
        """Hold it against the lecture's.

        The margins are two standard errors of the difference between two runs' means over so many images.
        """
        loss_margin = 2 * self.spread * (2 / self.n) ** 0.5
        accuracy_margin = 2 * (2 * printed.accuracy * (1 - printed.accuracy) / self.n) ** 0.5
        return (
            at_most(f"{name}: test loss", printed.loss, self.loss, loss_margin),
            at_least(f"{name}: test accuracy", printed.accuracy, self.accuracy, accuracy_margin),
        )


@dataclass(frozen=True)
class Demo:
    """A recipe to be carried out on data; what comes out is kept."""

    recipe: Recipe
    data: DataSet

    @cached_property
    def fitted(self) -> Fitted:
        return fit(self.recipe, *split(self.recipe, self.data))

    @cached_property
    def score(self) -> Score:
        return Score.of(self.fitted, self.data.test)

    @property
    def epochs(self) -> tuple[Epoch, ...]:
        return self.fitted.epochs

    def told(self) -> str:
        """Return in a sentence how it was trained."""
        seen, held = split(self.recipe, self.data)
        steps = f"{self.recipe.epochs} epochs of {len(seen.take(slice(self.recipe.images))):,} images in batches of "
        by = "Adam, the lecture's own settings" if not self.recipe.muon else "Muon and Adam, to be done sooner"
        return f"{steps}{self.recipe.batch:,} with {by}; {len(held):,} more are held out for validation."

    def log(self) -> Grid:
        """Return the training epoch by epoch."""
        rows = [_log_row(epoch, len(self.epochs)) for epoch in self.epochs]
        headings = ("Epoch", "Time", "Loss", "Accuracy", "Validation loss", "Validation accuracy")
        return Grid(headings, rows, "Loss and accuracy are means over the epoch, in which the network still learns.")

    def history(self, printed: Printed) -> Plot:
        """Return the curves of the training, with the test at their end and the lecture's test as a line."""

        def paint(axes: list[Axes]) -> None:
            for place, name in zip(axes, ("loss", "accuracy"), strict=True):
                self._paint(place, name)
                place.plot(len(self.epochs), getattr(self.score, name), "D", color=COLOURS[2], label="test, at the end")
                place.axhline(getattr(printed, name), linestyle=":", color=COLOURS[5], label="test, the lecture's")
            axes[0].legend()

        caption = "The training epoch by epoch, and the test after it."
        return draw(paint, "Loss and accuracy by epoch", caption, columns=2)

    def _paint(self, place: Axes, name: str) -> None:
        numbers = [epoch.number for epoch in self.epochs]
        for prefix, colour, label in (("", COLOURS[0], "training"), ("held_", COLOURS[1], "validation")):
            values = [getattr(epoch, prefix + name) for epoch in self.epochs]
            place.plot(numbers, values, "o-", color=colour, label=label)
        place.set(xlabel="epoch", ylabel=name)
        place.xaxis.set_major_locator(MaxNLocator(integer=True))


def samples(images: Images, labels: Sequence[str]) -> Plot:
    """Return a figure of the first images with their labels."""
    first = images.take(slice(ROWS * COLUMNS))

    def paint(axes: list[Axes]) -> None:
        for place, pixels, label in zip(axes, first.pixels, first.labels, strict=False):
            place.imshow(pixels.squeeze(-1).numpy(), cmap="gray", interpolation="none")
            place.set_title(labels[int(label)], fontsize=9)
        for place in axes:
            place.set_axis_off()

    caption = f"The first {len(first)} training images."
    return draw(paint, "Training images with their labels", caption, COLUMNS, ROWS, height=4.2)


def _log_row(epoch: Epoch, epochs: int) -> tuple[str, ...]:
    figures = (epoch.loss, epoch.accuracy, epoch.held_loss, epoch.held_accuracy)
    return f"{epoch.number}/{epochs}", f"{epoch.seconds:.1f} s", *(f"{figure:.4f}" for figure in figures)
