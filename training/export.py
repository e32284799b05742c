"""python -m training.export: from a recipe to a model folder that the service takes as it is."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor

from serving.classifier import Classifier
from serving.contract import ContractError
from training.allocator import keep_memory
from training.calibrate import confusion
from training.card import Answer, card_of, variant_name
from training.checkpoint import CheckpointError
from training.devices import DeviceError, find_device
from training.folder import ModelFolder, labels_text, triton_config
from training.formats import DataError
from training.graph import run, to_onnx, with_metadata
from training.logs import LogError, tensorboard
from training.model_card import model_card
from training.options import chosen, contradiction_in, export_parser
from training.quantise import comparison, measure, objections, quantise
from training.recipes import RECIPES, Recipe
from training.report import draw_confusion, draw_curves, figures_table, recipes_table
from training.teacher import TeacherError
from training.together import joined
from training.train import Circumstances
from training.trained import Trained, carry_out

COMPARED = 1_000  # test images on which the exported file must agree with the trained network
TOLERANCE = 1e-5  # in probability; float32 sums in another order differ by about 1e-6
CURVES, CONFUSION = "curves.png", "confusion.png"
INT8 = "int8"  # what the quantised variant of a model is called


class ExportError(Exception):
    """An exported file that does not answer as the trained network does; it was not published."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Export each recipe named; returns the exit status."""
    parser = export_parser()
    options = parser.parse_args(arguments)
    if contradiction := contradiction_in(options):
        parser.error(contradiction)
    keep_memory()
    if options.list:
        Console().print(recipes_table(RECIPES.values()))
        return 0
    try:
        device = find_device(options.device)
        with joined(device.type) as group:
            console = Console(quiet=not group.leads)
            around = Circumstances(device, resume=options.resume, compiled=options.compile, group=group)
            for recipe in chosen(options):
                _train_and_export(recipe, around, options, console)
    except KeyboardInterrupt:
        print(
            "Interrupted: the export under way was given up, and the models are as they were before it. The same "
            "command with --resume goes on after the last finished epoch.",
            file=sys.stderr,
        )
        return 130
    except (DataError, DeviceError, CheckpointError, TeacherError, LogError, ExportError, OSError) as error:
        print(f"training.export: {error}", file=sys.stderr)
        return 1
    return 0


def _train_and_export(recipe: Recipe, around: Circumstances, options: argparse.Namespace, console: Console) -> None:
    console.print(f"[bold]{recipe.name}[/]: {recipe.title}, on {around.device}")
    data = recipe.source.load(options.data_dir, options.limit)
    for skipped in data.skipped:
        console.print(f"Left out: {skipped}", style="yellow", markup=False, highlight=False, soft_wrap=True)
    logging = options.tensorboard is not None and around.group.leads
    with tensorboard(options.tensorboard / recipe.name) if logging else nullcontext(around.ended) as ended:
        told = replace(around, ended=ended)
        trained = carry_out(recipe, data, told, options.models_dir, options.checkpoint, console)
    if around.group.leads:
        graph = export(trained, options.models_dir, console)
        if options.int8:
            export_int8(trained, graph, options.models_dir, console)


def export(trained: Trained, models: Path, console: Console) -> onnx.ModelProto:
    """Export, evaluate, verify and publish; returns the graph. Raises ExportError."""
    graph = to_onnx(trained.served, *trained.shape)

    def answer(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return trained.served(torch.from_numpy(pixels)).numpy()  # type: ignore[no-any-return]

    with _published(trained, graph, answer, models, console) as file:
        difference = _verify(file, trained)
    console.print(f"Served and trained network agree: largest difference {difference:.1e} in probability")
    return graph


def export_int8(trained: Trained, graph: onnx.ModelProto, models: Path, console: Console) -> None:
    """Publish the graph in int8 as a model of its own where that pays; say what was measured. Raises ExportError."""
    seen, held = trained.split
    quantised = quantise(graph, seen.pixels.numpy())
    before, after = measure((graph, quantised), held)
    console.print(comparison(before, after))
    if reasons := objections(before, after):
        console.print(f"Not kept: {'; '.join(reasons)}")
        return
    with _published(trained, quantised, partial(run, quantised), models, console, INT8) as file:
        _open(file)


@contextmanager
def _published(
    trained: Trained, graph: onnx.ModelProto, answer: Answer, models: Path, console: Console, variant: str = ""
) -> Iterator[Path]:
    """Write a graph's whole folder aside, yield its file, and publish it unless the block fails."""
    folder = ModelFolder(models, variant_name(trained.recipe.name, variant))
    probabilities = _on_test(trained, graph)
    card = card_of(trained, probabilities, answer, folder.next_version(), variant)
    with folder.draft() as draft:
        file = draft / card.version / "model.onnx"
        file.parent.mkdir()
        file.write_bytes(with_metadata(graph, card.to_metadata()))
        yield file
        if trained.fitted.epochs:
            draw_curves(trained.fitted.epochs, file.parent / CURVES)
        counts = confusion(probabilities, trained.data.test.labels)
        draw_confusion(counts, card.labels, file.parent / CONFUSION)
        pictures = [f"{card.version}/{path.name}" for path in sorted(file.parent.glob("*.png"))]
        text = model_card(msgspec.to_builtins(card), counts.tolist(), pictures)
        (draft / "README.md").write_text(text, encoding="utf-8")
        (draft / "labels.txt").write_text(labels_text(card.labels), encoding="utf-8")
        (draft / "config.pbtxt").write_text(triton_config(card.name, trained.shape, len(card.labels)))
        published = folder.publish(draft, card.version)
    console.print(
        figures_table("Test, as served", msgspec.to_builtins(card.metrics) | {"temperature": card.temperature})
    )
    console.print(f"Written to {published}", soft_wrap=True)


def _on_test(trained: Trained, graph: onnx.ModelProto) -> Tensor:
    """Return the graph's probabilities for the test images."""
    probabilities = torch.from_numpy(run(graph, trained.data.test.pixels.numpy()))
    if not probabilities.isfinite().all():
        raise ExportError(
            f"the trained {trained.recipe.name} answers with what are no numbers: not published; try another seed"
        )
    return probabilities


def _verify(file: Path, trained: Trained) -> float:
    """Return the largest difference between the file, as the service opens it, and the trained network."""
    test = trained.data.test.take(slice(COMPARED))
    answered = torch.from_numpy(_open(file).classify(test.pixels.numpy()))
    with torch.inference_mode():
        expected = trained.served(test.pixels)
    difference = float((answered - expected).abs().max())
    right, should = ((given.argmax(1) == test.labels).sum().item() for given in (answered, expected))
    if not difference <= TOLERANCE or right != should:
        raise ExportError(
            f"the exported {trained.recipe.name} differs from the trained network by {difference:.2g} in probability "
            f"(at most {TOLERANCE:g}) and has {right} of {len(test)} right instead of {should}: not published"
        )
    return difference


def _open(file: Path) -> Classifier:
    """Open a file as the service does, golden samples included."""
    try:
        return Classifier.open(file)
    except ContractError as error:
        raise ExportError(f"the service refuses the exported file: {error}: not published") from error


if __name__ == "__main__":
    sys.exit(main())
