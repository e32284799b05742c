"""python -m training.export: from a recipe to a model folder that the service takes as it is."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property, partial
from operator import le
from pathlib import Path

import msgspec
import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from rich.console import Console

from serving.model.classifier import Classifier
from serving.model.card import ContractError
from training.appraisal import Appraisal, Ask, Terms, appraise
from training.calibrate import confusion
from training.datasets.formats import DataError
from training.folder import ModelFolder, labels_text, triton_config
from training.folder.card import Calibration, card_of, is_of, variant_name
from training.folder.model_card import model_card
from training.graph import Answers, run, to_onnx, with_metadata
from training.graph.quantise import comparison, measure, objections, quantise
from training.options import INT8, chosen, contradiction_in, export_parser
from training.recipes import RECIPES, Recipe
from training.report import appraisal_table, draw_confusion, draw_curves, recipes_table
from training.train.allocator import keep_memory
from training.train.checkpoint import CheckpointError
from training.train.course import Circumstances
from training.train.ctrl_c import CtrlC
from training.train.devices import DeviceError, find_device
from training.train.logs import LogError, tensorboard
from training.train.teacher import TeacherError
from training.train.together import joined
from training.trained import DivergedError, Trained, carry_out

COMPARED = 1_000  # test images on which the exported file must agree with the trained network
# In probability, where float32 sums in another order differ by about 1e-6, and in novelty, which is steeper.
TOLERANCES = 1e-5, 1e-4
CURVES, CONFUSION = "curves.png", "confusion.png"


class ExportError(Exception):
    """An exported file that does not answer as the trained network does; it was not published."""


REFUSALS = (DataError, DeviceError, CheckpointError, TeacherError, LogError, DivergedError, ExportError, OSError)


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
        with CtrlC() as ctrl_c, joined(device.type) as group:
            console = Console(quiet=not group.leads)
            around = Circumstances(
                device, check=ctrl_c.check, resume=options.resume, compiled=options.compile, group=group
            )
            for recipe in chosen(options):
                _train_and_export(recipe, around, options, console)
    except KeyboardInterrupt:
        print(
            "Interrupted: the export under way was given up, and the models are as they were before it. The same "
            "command with --resume goes on after the last finished epoch.",
            file=sys.stderr,
        )
        return 130
    except REFUSALS as error:
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
        publisher = Publisher(trained, options.models_dir, options.data_dir, console)
        if not (options.resume and publisher.has_published()):
            publisher.export()
        if options.int8:
            publisher.export_int8()
    around.group.wait()  # the next recipe may learn from what was published


@dataclass(frozen=True)
class Publisher:
    """What takes a trained network to its model folder.

    data_dir: where a data set is looked for that novelty is measured against.
    """

    trained: Trained
    models: Path
    data_dir: Path | None
    console: Console

    @cached_property
    def graph(self) -> onnx.ModelProto:
        """The trained network as the graph of the contract."""
        return to_onnx(self.trained.served, *self.trained.shape)

    def has_published(self) -> bool:
        """Whether the newest version is this training's; says so."""
        newest = ModelFolder(self.models, self.trained.recipe.name).newest()
        try:
            if newest is None or not is_of(self.trained, Classifier.open(newest).card):
                return False
        except ContractError:  # a damaged one: the next takes its place
            return False
        self.console.print(f"Published already: {newest.parent}", markup=False, soft_wrap=True)
        return True

    def export(self) -> None:
        """Evaluate, verify and publish the graph. Raises ExportError."""
        with self._published(self.graph, partial(_ask, self.trained)) as file:
            difference = _verify(file, self.trained)
        self.console.print(f"Served and trained network agree: largest difference {difference:.1e} in probability")

    def export_int8(self) -> None:
        """Publish the graph in int8 as a model of its own where that pays; say what was measured."""
        seen, held = self.trained.split
        quantised = quantise(self.graph, seen.pixels.numpy())
        before, after = measure((self.graph, quantised), held)
        self.console.print(comparison(before, after))
        if reasons := objections(before, after):
            self.console.print(f"Not kept: {'; '.join(reasons)}")
            return
        with self._published(quantised, partial(run, quantised), INT8) as file:
            _open(file)

    @contextmanager
    def _published(self, graph: onnx.ModelProto, answer: Ask, variant: str = "") -> Iterator[Path]:
        """Write a graph's whole folder aside, yield its file, and publish it unless the block fails.

        answer: gives the golden samples the answers that the file is to repeat.
        """
        trained = self.trained
        folder = ModelFolder(self.models, variant_name(trained.recipe.name, variant))
        calibration, appraisal = self._measured(graph)
        card = card_of(trained, calibration, appraisal, answer, folder.next_version(), variant)
        with folder.draft() as draft:
            file = draft / card.version / "model.onnx"
            file.parent.mkdir()
            file.write_bytes(with_metadata(graph, card.to_metadata()))
            yield file
            if trained.fitted.epochs:
                draw_curves(trained.fitted.epochs, file.parent / CURVES)
            counts = confusion(appraisal.probabilities, trained.data.test.labels)
            draw_confusion(counts, card.labels, file.parent / CONFUSION)
            pictures = [f"{card.version}/{path.name}" for path in sorted(file.parent.glob("*.png"))]
            text = model_card(msgspec.to_builtins(card), counts.tolist(), appraisal.coverage_by_label, pictures)
            (draft / "README.md").write_text(text, encoding="utf-8")
            (draft / "labels.txt").write_text(labels_text(card.labels), encoding="utf-8")
            config = triton_config(card.name, trained.shape, len(card.labels), card.novelty is not msgspec.UNSET)
            (draft / "config.pbtxt").write_text(config)
            published = folder.publish(draft, card.version)
        self.console.print(appraisal_table(appraisal, card.labels))
        self.console.print(f"Written to {published}", markup=False, soft_wrap=True)

    def _measured(self, graph: onnx.ModelProto) -> tuple[Calibration, Appraisal]:
        """Return what the held-out images say of how to read a graph's answers, and what those are worth."""
        trained, ask = self.trained, partial(run, graph)
        calibration = Calibration.of(ask, trained.split[1])
        recipe, sets = trained.recipe, calibration.conformal.default.sets
        terms = Terms(recipe.source.title, recipe.fit, trained.temperature, sets, calibration.novelty)
        return calibration, appraise(ask, terms, trained.data.test, self.data_dir, self._tell)

    def _tell(self, what: str) -> None:
        self.console.print(f"Note: {what}", style="yellow", markup=False, highlight=False, soft_wrap=True)


def _ask(trained: Trained, pixels: NDArray[np.uint8]) -> Answers:
    """Return what the trained network itself makes of pixels [n, height, width, channels]."""
    with torch.inference_mode():
        probabilities, novelty = trained.served(torch.from_numpy(pixels))
    return Answers(probabilities.numpy(), novelty.numpy())


def _verify(file: Path, trained: Trained) -> float:
    """Return the largest difference between the file, as the service opens it, and the trained network."""
    test = trained.data.test.take(slice(COMPARED))
    pixels, labels = test.pixels.numpy(), test.labels.numpy()
    answered, expected = Answers(*_open(file).run(pixels)), _ask(trained, pixels)
    differences = answered.differences(expected)
    right, should = ((outputs.probabilities.argmax(1) == labels).sum() for outputs in (answered, expected))
    if not all(map(le, differences, TOLERANCES)) or right != should:
        found, allowed = (", ".join(f"{value:.2g}" for value in values) for values in (differences, TOLERANCES))
        raise ExportError(
            f"the exported {trained.recipe.name} differs from the trained network by {found} in probability and "
            f"novelty (at most {allowed}) and has {right} of {len(test)} right instead of {should}: not published"
        )
    return differences[0]


def _open(file: Path) -> Classifier:
    """Open a file as the service does, golden samples included."""
    try:
        return Classifier.open(file)
    except ContractError as error:
        raise ExportError(f"the service refuses the exported file: {error}: not published") from error


if __name__ == "__main__":
    sys.exit(main())
