"""python -m training.export: from a recipe to a model folder that the service takes as it is."""

import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version as installed
from pathlib import Path

import msgspec
import onnx
import torch
from rich.console import Console

from serving.classifier import Classifier
from serving.contract import ContractError, Golden, Metrics, ModelCard, Training
from training.allocator import keep_memory
from training.calibrate import figures
from training.folder import ModelFolder, labels_text, triton_config
from training.formats import DataError
from training.golden import golden_images
from training.graph import run, to_onnx, with_metadata
from training.model_card import model_card
from training.networks import parameters
from training.options import adjusted, export_parser
from training.recipes import DEFAULT, RECIPES
from training.report import draw_curves, figures_table, recipes_table
from training.train import CheckpointError, DeviceError, find_device
from training.trained import Trained, carry_out

LIBRARIES = ("torch", "onnx", "onnxscript", "onnxruntime", "numpy", "pillow")
COMPARED = 1_000  # test images on which the exported file must agree with the trained network
TOLERANCE = 1e-5  # in probability; float32 sums in another order differ by about 1e-6
CURVES = "curves.png"


class ExportError(Exception):
    """An exported file that does not answer as the trained network does; it was not published."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Export each recipe named; returns the exit status."""
    parser = export_parser()
    options = parser.parse_args(arguments)
    if options.checkpoint and len(options.recipes) != 1:
        parser.error("--checkpoint holds the weights of one network: name its recipe")
    keep_memory()
    console = Console()
    if options.list:
        console.print(recipes_table(RECIPES.values()))
        return 0
    try:
        device = find_device(options.device)
        for name in options.recipes or DEFAULT:
            recipe = adjusted(RECIPES[name], options)
            console.print(f"[bold]{recipe.name}[/]: {recipe.title}, on {device}")
            data = recipe.source.load(options.data_dir, options.limit)
            trained = carry_out(recipe, data, device, options.checkpoint, console)
            folder = export(trained, options.models_dir, console)
            console.print(f"Written to {folder}", soft_wrap=True)
    except KeyboardInterrupt:
        print(
            "Interrupted: the export under way was given up, and the models are as they were before it.",
            file=sys.stderr,
        )
        return 130
    except (DataError, DeviceError, CheckpointError, ExportError, OSError) as error:
        print(f"training.export: {error}", file=sys.stderr)
        return 1
    return 0


def export(trained: Trained, models: Path, console: Console) -> Path:
    """Export, evaluate, verify and publish; returns the folder of the new version. Raises ExportError."""
    graph = to_onnx(trained.served, *trained.shape)
    folder = ModelFolder(models, trained.recipe.name)
    card = _card(trained, graph, folder.next_version())
    with folder.draft() as draft:
        file = draft / card.version / "model.onnx"
        file.parent.mkdir()
        file.write_bytes(with_metadata(graph, card.to_metadata()))
        difference = _verify(file, trained)
        if trained.fitted.epochs:
            draw_curves(trained.fitted.epochs, file.parent / CURVES)
        curves = f"{card.version}/{CURVES}" if trained.fitted.epochs else None
        (draft / "README.md").write_text(model_card(msgspec.to_builtins(card), curves))
        (draft / "labels.txt").write_text(labels_text(card.labels))
        (draft / "config.pbtxt").write_text(triton_config(card.name, trained.shape, len(card.labels)))
        published = folder.publish(draft, card.version)
    console.print(
        figures_table("Test, as served", msgspec.to_builtins(card.metrics) | {"temperature": card.temperature})
    )
    console.print(f"Served and trained network agree: largest difference {difference:.1e} in probability")
    return published


def _card(trained: Trained, graph: onnx.ModelProto, version: str) -> ModelCard:
    recipe, test = trained.recipe, trained.data.test
    probabilities = torch.from_numpy(run(graph, test.pixels.numpy()))
    if not probabilities.isfinite().all():
        raise ExportError(
            f"the trained {recipe.name} answers with what are no numbers: not published; try another seed"
        )
    golden = golden_images(*trained.shape)
    with torch.inference_mode():
        expected = trained.served(torch.from_numpy(golden)).numpy()
    return ModelCard(
        schema=1,
        name=recipe.name,
        version=version,
        title=recipe.title,
        dataset=recipe.source.title,
        licence=f"MIT; the images: {recipe.source.licence}",
        labels=list(recipe.source.labels),
        network=trained.fitted.network.title,
        parameters=parameters(trained.fitted.network),
        fit=recipe.fit,
        metrics=Metrics(**asdict(figures(probabilities, test.labels))),
        temperature=trained.temperature,
        golden=[Golden.of(image, answer) for image, answer in zip(golden, expected, strict=True)],
        training=_training(trained),
    )


def _training(trained: Trained) -> Training:
    return Training(
        recipe=trained.recipe.name,
        seed=trained.recipe.seed,
        epochs=len(trained.fitted.epochs),
        seconds=round(trained.seconds, 1),
        device=trained.device.type,
        libraries={"python": platform.python_version(), **{name: installed(name) for name in LIBRARIES}},
        date=datetime.now(UTC).date().isoformat(),
        limit=trained.data.limit or msgspec.UNSET,
        data_sha256=trained.data.train.sha256(),
        epoch_accuracy=[round(epoch.held_accuracy, 4) for epoch in trained.fitted.epochs],
    )


def _verify(file: Path, trained: Trained) -> float:
    """Return the largest difference between the file, as the service opens it, and the trained network."""
    test = trained.data.test.take(slice(COMPARED))
    try:
        answered = torch.from_numpy(Classifier.open(file).classify(test.pixels.numpy()))
    except ContractError as error:
        raise ExportError(f"the service refuses the exported {trained.recipe.name}: {error}: not published") from error
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


if __name__ == "__main__":
    sys.exit(main())
