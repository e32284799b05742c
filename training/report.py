"""What a person sees of a training: tables in the terminal, its curves, and what is taken for what."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from rich.markup import escape
from rich.table import Table
from torch import Tensor, nn

from training.appraisal import Appraisal
from training.networks import parameters
from training.networks.layers import layers
from training.recipes import Recipe
from training.train.course import Epoch

LARGEST_SIDE = 30  # inches of a confusion matrix: one of 300 labels would otherwise take gigabytes
MOST_LABELS_WITH_COUNTS = 20  # beyond that the numbers of a confusion matrix would not fit into its cells


def recipes_table(recipes: Iterable[Recipe]) -> Table:
    """Return what there is to train."""
    table = Table("Recipe", "Data", "Network", "Parameters", "Epochs", "What it is")
    table.columns[0].no_wrap = True
    for column in table.columns[1:]:
        column.overflow = "fold"
    for recipe in recipes:
        network = recipe.network()
        sizes = f"{parameters(network):,}", str(recipe.epochs)
        table.add_row(recipe.name, recipe.source.title, network.title, *sizes, recipe.title)
    return table


def summary(network: nn.Module, title: str, shape: tuple[int, int, int]) -> Table:
    """Return type, output shape and parameters of each layer, for an input [channels, height, width]."""
    table = Table("Layer", "Output shape", "Parameters", title=title, caption=f"{parameters(network):,} parameters")
    table.columns[2].justify = "right"
    for layer in layers(network, shape):
        table.add_row(layer.kind, str(layer.shape), f"{layer.parameters:,}")
    return table


def epochs_table(epochs: Sequence[Epoch]) -> Table:
    """Return the training epoch by epoch; held: on the images held out of training."""
    table = Table("Epoch", "Loss", "Accuracy", "Held loss", "Held accuracy", "Seconds", title="Training")
    for column in table.columns:
        column.justify = "right"
    for epoch in epochs:
        figures = (epoch.loss, epoch.accuracy, epoch.held_loss, epoch.held_accuracy)
        table.add_row(str(epoch.number), *(f"{figure:.4f}" for figure in figures), f"{epoch.seconds:.1f}")
    return table


def appraisal_table(appraisal: Appraisal, labels: Sequence[str]) -> Table:
    """Return what a model is worth on its test images, as served."""
    table = Table("Figure", "Value", title="Test, as served")
    table.columns[1].justify = "right"
    for name, value in _rows(appraisal, labels):
        table.add_row(name, f"{value:,}" if isinstance(value, int) else f"{value:.4f}")
    return table


def _rows(appraisal: Appraisal, labels: Sequence[str]) -> Iterator[tuple[str, float]]:
    yield from asdict(appraisal.figures).items()
    covered = {label: share for label, share in zip(labels, appraisal.coverage_by_label, strict=True) if share >= 0}
    worst = min(covered, key=lambda label: covered[label])
    yield f"set_coverage of {escape(worst)}, the least", covered[worst]
    if appraisal.novelty:
        yield "novel", appraisal.novelty.share
        yield from ((f"AUROC against {name}", value) for name, value in appraisal.novelty.auroc.items())
    yield f"accuracy of photos ({appraisal.photos.n:,} images)", appraisal.photos.accuracy
    yield "accuracy of the same images", appraisal.photos.untouched


def draw_curves(epochs: Sequence[Epoch], path: Path) -> None:
    """Plot loss and accuracy by epoch, of training and held-out images, and the learning rate, into a PNG."""
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    numbers = [epoch.number for epoch in epochs]
    *both, third = figure.subplots(1, 3)
    for axes, name in zip(both, ("loss", "accuracy"), strict=True):
        axes.plot(numbers, [getattr(epoch, name) for epoch in epochs], ".-", label="training, during the epoch")
        axes.plot(numbers, [getattr(epoch, f"held_{name}") for epoch in epochs], ".-", label="held out, after it")
        axes.set(xlabel="epoch", ylabel=name)
        axes.legend()
    third.plot(numbers, [epoch.learning_rate for epoch in epochs], ".-")
    third.set(xlabel="epoch", ylabel="learning rate at its end")
    for axes in (*both, third):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def draw_confusion(counts: Tensor, labels: Sequence[str], path: Path) -> None:
    """Plot how the images of each label were labelled, counts [classes, classes], into a PNG."""
    side = min(2.5 + 0.45 * len(labels), LARGEST_SIDE)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    shares = counts / counts.sum(1, keepdim=True).clamp_min(1)
    axes.imshow(shares.numpy(), cmap="Blues", vmin=0, vmax=1)
    places = range(len(labels))
    axes.set_xticks(places, labels, rotation=90, parse_math=False)  # a $ in a label is a dollar
    axes.set_yticks(places, labels, parse_math=False)
    axes.set(xlabel="label given", ylabel="true label")
    if len(labels) <= MOST_LABELS_WITH_COUNTS:
        for row, column in counts.nonzero().tolist():
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, f"{counts[row, column]}", ha="center", va="center", color=colour, fontsize=8)
    figure.savefig(path, dpi=110)
