"""Overfitting: a network learns a few images by heart."""

from dataclasses import replace

from matplotlib.axes import Axes

from training.figure import COLORS
from training.lecture.agreement import Row
from training.lecture.plots import draw
from training.lecture.section import Lesson, Plot, Section
from training.pipeline import split
from training.recipes import LECTURE_MLP
from training.report import plot_epochs
from training.train.loop import train_network
from training.train.trainer import Epoch

LONG_TRAINING = replace(LECTURE_MLP, name="long", validation_images=5_000, train_images=1_000, epochs=60)


def section(lesson: Lesson) -> Section:
    """Return the section."""
    train, validation = split(LONG_TRAINING, lesson.fashion_mnist)
    epochs = train_network(LONG_TRAINING, train, validation).epochs
    best, last = min(epochs, key=lambda epoch: epoch.val_loss), epochs[-1]
    return Section(
        title="Overfitting",
        blocks=(
            f"Here the lecture's MLP has only {len(train.take(slice(LONG_TRAINING.train_images))):,} training images "
            f"and {LONG_TRAINING.epochs} epochs. The training loss keeps falling: in the end the network knows these "
            "images by heart. The validation loss falls at first too, while the network learns what holds for garments "
            "in general. It rises again as the network learns what holds for these images alone.",
            _plot(epochs, best),
            f"The validation loss is lowest after {best.number} epochs. The simplest remedy is to stop there (early "
            "stopping). Others are more images, a penalty on the weights (weight decay), dropout and random changes of "
            "the images (augmentation).",
        ),
        rows=(
            Row(
                "Overfitting",
                "the training algorithm might choose the wrong function",
                f"validation loss {best.val_loss:.3f} in epoch {best.number}, {last.val_loss:.3f} in epoch "
                f"{last.number}; training loss {best.loss:.3f}, then {last.loss:.3f}",
                last.val_loss > 1.1 * best.val_loss and last.loss < best.loss / 2,
                "the validation loss rises by more than a tenth while the training loss more than halves",
            ),
        ),
        code=("overfitting.LONG_TRAINING", "training.train.loop.train_network"),
    )


def _plot(epochs: tuple[Epoch, ...], best: Epoch) -> Plot:
    def paint(axes: list[Axes]) -> None:
        for place, name in zip(axes, ("loss", "accuracy"), strict=True):
            plot_epochs(place, epochs, name)
            place.axvline(best.number, linestyle=":", color=COLORS[5], label="lowest validation loss")
            place.legend()

    alt = "Training and validation loss and accuracy by epoch"
    return draw(paint, alt, "Training and validation diverge after a few epochs.", columns=2)
