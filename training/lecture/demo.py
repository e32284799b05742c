"""The part that the two demos share: training, its log and its curves, and the comparison on the test images."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from matplotlib.axes import Axes
from torch.nn import functional

from training.datasets.labelled import LabelledImages, TrainTest
from training.figure import COLORS
from training.lecture.agreement import Row, at_least, at_most
from training.lecture.plots import draw
from training.lecture.section import Plot, Table
from training.pipeline import split
from training.recipe import Recipe
from training.report import plot_epochs
from training.train.loop import train_network
from training.train.trained_network import TrainedNetwork
from training.train.trainer import Epoch

SAMPLE_ROWS, SAMPLE_COLUMNS = 3, 8  # of the figure of training images


@dataclass(frozen=True)
class LectureScore:
    """The mean loss and the accuracy on the test images that the lecture prints."""

    loss: float
    accuracy: float


@dataclass(frozen=True)
class Score:
    """The mean loss and the accuracy on n test images; loss_std: the standard deviation of the loss over images."""

    loss: float
    accuracy: float
    loss_std: float
    n: int

    @classmethod
    def measure(cls, trained: TrainedNetwork, test: LabelledImages) -> "Score":
        """Evaluate a trained network on the test images."""
        logits = trained.forward_features(test.pixels).logits
        losses = functional.cross_entropy(logits.double(), test.labels, reduction="none")
        right = int((logits.argmax(1) == test.labels).sum())
        return cls(float(losses.mean()), right / len(test), float(losses.std()), len(test))

    def compare(self, name: str, lecture: LectureScore) -> tuple[Row, Row]:
        """Return the rows that compare loss and accuracy with the lecture's.

        Each margin is two standard errors of the difference between two means over n images.
        """
        loss_margin = 2 * self.loss_std * (2 / self.n) ** 0.5
        accuracy_margin = 2 * (2 * lecture.accuracy * (1 - lecture.accuracy) / self.n) ** 0.5
        return (
            at_most(f"{name}: test loss", lecture.loss, self.loss, loss_margin),
            at_least(f"{name}: test accuracy", lecture.accuracy, self.accuracy, accuracy_margin),
        )


@dataclass(frozen=True)
class Demo:
    """A recipe and its data; the network is trained and evaluated once, on first use."""

    recipe: Recipe
    data: TrainTest

    @cached_property
    def trained(self) -> TrainedNetwork:
        return train_network(self.recipe, *split(self.recipe, self.data))

    @cached_property
    def score(self) -> Score:
        return Score.measure(self.trained, self.data.test)

    @property
    def epochs(self) -> tuple[Epoch, ...]:
        return self.trained.epochs

    def settings(self) -> str:
        """Return a sentence on how the network is trained."""
        train, validation = split(self.recipe, self.data)
        images = len(train.take(slice(self.recipe.train_images)))
        if self.recipe.muon:
            optimizers = "the optimizers Muon and Adam (faster than the lecture's settings)"
        else:
            optimizers = "the optimizer Adam (the lecture's own settings)"
        return (
            f"It trains for {self.recipe.epochs} epochs of {images:,} images, in batches of {self.recipe.batch:,}, "
            f"with {optimizers}. {len(validation):,} more images are set aside for validation."
        )

    def result(self, lecture: LectureScore) -> str:
        """Return a sentence on the test images, with the lecture's figures for comparison."""
        return (
            f"On the {self.score.n:,} test images, which played no part before, {self.score.accuracy:.2%} of the "
            f"answers are right and the loss is {self.score.loss:.4f}. The lecture has {lecture.accuracy:.2%} and "
            f"{lecture.loss:.4f}."
        )

    def log(self) -> Table:
        """Return the training epoch by epoch."""
        rows = [_log_row(epoch, len(self.epochs)) for epoch in self.epochs]
        headings = ("Epoch", "Time", "Training loss", "Training accuracy", "Validation loss", "Validation accuracy")
        caption = (
            "The training epoch by epoch. Training figures are means over the epoch, during which the network still "
            "learns; validation figures are those at its end."
        )
        return Table(headings, rows, caption)

    def history(self, lecture: LectureScore) -> Plot:
        """Return the curves of the training, with the test result at their end and the lecture's as a line."""

        def paint(axes: list[Axes]) -> None:
            for place, name in zip(axes, ("loss", "accuracy"), strict=True):
                plot_epochs(place, self.epochs, name)
                place.plot(len(self.epochs), getattr(self.score, name), "D", color=COLORS[2], label="test, here")
                place.axhline(getattr(lecture, name), linestyle=":", color=COLORS[5], label="test, lecture")
                place.legend()

        caption = "Loss and accuracy by epoch, and on the test images after the last."
        return draw(paint, "Loss and accuracy by epoch", caption, columns=2)


def sample_plot(images: LabelledImages, labels: Sequence[str]) -> Plot:
    """Return a figure of the first images with their labels."""
    first = images.take(slice(SAMPLE_ROWS * SAMPLE_COLUMNS))

    def paint(axes: list[Axes]) -> None:
        for place, pixels, label in zip(axes, first.pixels, first.labels, strict=False):
            place.imshow(pixels.squeeze(-1).numpy(), cmap="gray", interpolation="none")
            place.set_title(labels[int(label)], fontsize=9)
        for place in axes:
            place.set_axis_off()

    caption = f"The first {len(first)} training images with their labels."
    return draw(paint, "Training images with their labels", caption, SAMPLE_COLUMNS, SAMPLE_ROWS, height=4.2)


def _log_row(epoch: Epoch, epochs: int) -> tuple[str, ...]:
    figures = (epoch.loss, epoch.accuracy, epoch.val_loss, epoch.val_accuracy)
    return f"{epoch.number}/{epochs}", f"{epoch.seconds:.1f} s", *(f"{figure:.4f}" for figure in figures)
