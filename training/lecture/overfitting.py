"""Overfitting: few images, learned by heart."""

from dataclasses import replace

from matplotlib.axes import Axes

from training.lecture.agreement import Row
from training.lecture.plots import COLOURS, draw
from training.lecture.section import Lesson, Plot, Section
from training.recipes import LECTURE_MLP
from training.train import fit
from training.train.course import Epoch
from training.trained import split

LONG = replace(LECTURE_MLP, name="long", held=5_000, images=1_000, epochs=60)


def section(lesson: Lesson) -> Section:
    """Return the section."""
    seen, held = split(LONG, lesson.garments)
    epochs = fit(LONG, seen, held).epochs
    best, last = min(epochs, key=lambda epoch: epoch.held_loss), epochs[-1]
    return Section(
        title="Overfitting",
        blocks=(
            f"The lecture's MLP, but with {len(seen.take(slice(LONG.images))):,} training images and {LONG.epochs} "
            "epochs. The training loss falls on and on: in the end the network knows these images by heart. "
            "The loss on images that it does not learn from falls at first too, while what is learned holds for "
            "garments in general, and rises again as the network grows sure of what holds for these alone.",
            _plot(epochs, best),
            f"It is least after {best.number} epochs. To stop there, by the validation loss, is the simplest remedy; "
            "more images, a penalty on the weights, dropout and changing the images at random are others.",
        ),
        rows=(
            Row(
                "Overfitting",
                "the training algorithm might choose the wrong function",
                f"validation loss {best.held_loss:.3f} in epoch {best.number}, {last.held_loss:.3f} in epoch "
                f"{last.number}; training loss {best.loss:.3f}, then {last.loss:.3f}",
                last.held_loss > 1.1 * best.held_loss and last.loss < best.loss / 2,
                "the one rises by more than a tenth while the other halves at least",
            ),
        ),
        names=("overfitting.LONG", "training.train.fit"),
    )


def _plot(epochs: tuple[Epoch, ...], best: Epoch) -> Plot:
    numbers = [epoch.number for epoch in epochs]

    def paint(axes: list[Axes]) -> None:
        for place, name in zip(axes, ("loss", "accuracy"), strict=True):
            place.plot(numbers, [getattr(epoch, name) for epoch in epochs], color=COLOURS[0], label="training")
            held = [getattr(epoch, f"held_{name}") for epoch in epochs]
            place.plot(numbers, held, color=COLOURS[1], label="validation")
            place.axvline(best.number, linestyle=":", color=COLOURS[5], label="least validation loss")
            place.set(xlabel="epoch", ylabel=name)
        axes[0].legend()

    alt = "Training and validation loss and accuracy by epoch"
    return draw(paint, alt, "Training and validation part after a few epochs.", columns=2)
