"""The report of a training for people: tables in the terminal, its curves, and the confusion matrix."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import ImageFont
from rich.markup import escape
from rich.table import Table
from torch import Tensor, nn

from training.datasets.builtin import FASHION_MNIST
from training.datasets.formats import DataError
from training.evaluation.evaluate_graph import Evaluation
from training.label_font import FONT_FILE, drawable
from training.networks.base import count_parameters
from training.networks.layers import blocks, layers
from training.recipe import Recipe
from training.train.trainer import Epoch

MAX_LAYERS = 50  # that are listed one by one: a screen
MAX_CONFUSION_INCHES = 30  # of a side: the matrix of 300 labels would otherwise take gigabytes
LABEL_POINTS, POINTS_PER_INCH = 10, 72  # matplotlib's size of an axis' labels
MAX_LABELS_WITH_COUNTS = 20  # with more, the numbers of a confusion matrix would not fit into its cells


def recipes_table(recipes: Iterable[Recipe]) -> Table:
    """Return the recipes with their titles, one a row; of a network that cannot be built here, what it needs."""
    table = Table("Recipe", "Data", "Network", "Parameters", "Epochs", box=None, padding=(0, 2, 1, 0))
    table.columns[1].max_width = len(FASHION_MNIST.title)  # so that no word is cut at 80 columns
    for recipe in recipes:
        try:
            network = recipe.network()
        except DataError:  # that of a pretrained network
            described = "needs thimble[backbones]", ""
        else:
            described = network.title, f"{count_parameters(network):,}"
        cells = map(escape, (recipe.source.title, *described))
        table.add_row(f"[bold]{recipe.name}[/]\n{escape(recipe.title)}", *cells, str(recipe.epochs))
    return table


def summary(network: nn.Module, title: str, shape: tuple[int, int, int]) -> Table:
    """Return type, output shape and parameters of each layer, for an input [channels, height, width].

    Of a network of many layers the blocks are listed.
    """
    listed = layers(network, shape)
    if len(listed) > MAX_LAYERS:
        listed = blocks(network, shape)
    caption = f"{count_parameters(network):,} parameters"
    table = Table("Layer", "Output shape", "Parameters", title=escape(title), caption=caption)
    table.columns[2].justify = "right"
    for layer in listed:
        table.add_row(layer.kind, str(layer.shape), f"{layer.parameters:,}")
    return table


def epochs_table(epochs: Sequence[Epoch]) -> Table:
    """Return the training epoch by epoch; "val" is short for validation."""
    table = Table("Epoch", "Loss", "Accuracy", "Val loss", "Val accuracy", "Seconds", title="Training")
    for column in table.columns:
        column.justify = "right"
    for epoch in epochs:
        metrics = (epoch.loss, epoch.accuracy, epoch.val_loss, epoch.val_accuracy)
        table.add_row(str(epoch.number), *(f"{value:.4f}" for value in metrics), f"{epoch.seconds:.1f}")
    return table


def last_layer_alone(before: Epoch, after: Epoch) -> str:
    """Return how good a pretrained network was before it was fine-tuned, and whether it was better than after."""
    better = before.val_loss < after.val_loss and before.val_accuracy > after.val_accuracy
    text = f"The last layer alone: val loss {before.val_loss:.4f}, val accuracy {before.val_accuracy:.4f}"
    return f"{text}, which is better: take more epochs, or leave --fine-tune out" if better else text


def evaluation_table(evaluation: Evaluation, labels: Sequence[str]) -> Table:
    """Return the metrics of a model on its test images, as served."""
    table = Table(
        "Metric",
        "Value",
        title="Test, as served",
        caption="ece: expected calibration error. AUROC: area under the receiver operating characteristic curve.",
    )
    table.columns[1].justify = "right"
    for name, value in _rows(evaluation, labels):
        table.add_row(name, f"{value:,}" if isinstance(value, int) else f"{value:.4f}")
    return table


def _rows(evaluation: Evaluation, labels: Sequence[str]) -> Iterator[tuple[str, float]]:
    metrics = msgspec.to_builtins(evaluation.metrics)
    yield "accuracy", metrics.pop("accuracy")
    yield "macro accuracy, the mean of the labels' recalls", evaluation.macro_accuracy
    yield from metrics.items()
    covered = {label: share for label, share in zip(labels, evaluation.coverage_by_label, strict=True) if share >= 0}
    worst = min(covered, key=lambda label: covered[label])
    yield f"set_coverage of {escape(worst)}, the lowest", covered[worst]
    if evaluation.novelty:
        yield "novel", evaluation.novelty.share
        yield from ((f"AUROC against {name}", value) for name, value in evaluation.novelty.auroc.items())
    yield f"accuracy on photos ({evaluation.photos.n:,} images)", evaluation.photos.accuracy
    yield "accuracy on the same images, untouched", evaluation.photos.untouched
    if corrupted := evaluation.corrupted:
        yield f"accuracy on corrupted images ({corrupted.n:,})", corrupted.accuracy
        yield "ece on corrupted images", corrupted.ece
        yield "set_coverage on corrupted images", corrupted.set_coverage
        yield from ((f"accuracy after {name}", accuracy) for name, accuracy in corrupted.by_corruption.items())


def draw_curves(epochs: Sequence[Epoch], optimizer: str, path: Path) -> None:
    """Plot loss and accuracy by epoch, in training and on validation images, and the learning rate, into a PNG.

    optimizer: the one whose learning rate the epochs have.
    """
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    *both, third = figure.subplots(1, 3)
    for axes, name in zip(both, ("loss", "accuracy"), strict=True):
        plot_epochs(axes, epochs, name)
    third.plot([epoch.number for epoch in epochs], [epoch.learning_rate for epoch in epochs], ".-")
    third.set(xlabel="epoch", ylabel=f"learning rate of {optimizer} at its end")
    third.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (*both, third):
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def plot_epochs(axes: Axes, epochs: Sequence[Epoch], name: str) -> None:
    """Plot a metric by epoch, in training and on validation images."""
    numbers = [epoch.number for epoch in epochs]
    axes.plot(numbers, [getattr(epoch, name) for epoch in epochs], ".-", label="training, during the epoch")
    axes.plot(numbers, [getattr(epoch, f"val_{name}") for epoch in epochs], ".-", label="validation, after it")
    axes.set(xlabel="epoch", ylabel=name)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()


def draw_confusion(counts: Tensor, labels: Sequence[str], path: Path) -> None:
    """Plot a confusion matrix, counts [true label, predicted label], into a PNG; labels are drawn as the font can."""
    labels = drawable(labels)
    room = max(map(ImageFont.truetype(str(FONT_FILE), LABEL_POINTS).getlength, labels)) / POINTS_PER_INCH
    side = min(1 + max(1.5, room) + 0.45 * len(labels), MAX_CONFUSION_INCHES)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    shares = counts / counts.sum(1, keepdim=True).clamp_min(1)
    axes.imshow(shares.numpy(), cmap="Blues", vmin=0, vmax=1)
    places = range(len(labels))
    axes.set_xticks(places, labels, rotation=90, parse_math=False)  # a $ in a label is a dollar
    axes.set_yticks(places, labels, parse_math=False)
    axes.set(xlabel="predicted label", ylabel="true label")
    if len(labels) <= MAX_LABELS_WITH_COUNTS:
        for row, column in counts.nonzero().tolist():
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, f"{counts[row, column]}", ha="center", va="center", color=colour, fontsize=8)
    figure.savefig(path, dpi=110)
