"""What a person sees of a training: tables in the terminal and its curves."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from rich.table import Table
from torch import Tensor, nn

from training.networks import parameters
from training.recipes import Recipe
from training.train import Epoch


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

    def row(layer: nn.Module, _: object, output: Tensor) -> None:
        table.add_row(type(layer).__name__, str(tuple(output.shape[1:])), f"{parameters(layer):,}")

    leaves = [module for module in network.modules() if not list(module.children())]
    hooks = [leaf.register_forward_hook(row) for leaf in leaves]
    with torch.inference_mode():
        network.eval()(torch.zeros(1, *shape))
    for hook in hooks:
        hook.remove()
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


def figures_table(title: str, figures: Mapping[str, float]) -> Table:
    """Return figures by name."""
    table = Table("Figure", "Value", title=title)
    table.columns[1].justify = "right"
    for name, value in figures.items():
        table.add_row(name, f"{value:,}" if isinstance(value, int) else f"{value:.4f}")
    return table


def draw_curves(epochs: Sequence[Epoch], path: Path) -> None:
    """Plot loss and accuracy by epoch, of training and held-out images, into a PNG."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    numbers = [epoch.number for epoch in epochs]
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        axes.plot(numbers, [getattr(epoch, name) for epoch in epochs], ".-", label="training, during the epoch")
        axes.plot(numbers, [getattr(epoch, f"held_{name}") for epoch in epochs], ".-", label="held out, after it")
        axes.set(xlabel="epoch", ylabel=name)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=110)
