"""Publish a calibrated model: export the graph, evaluate it, verify the file and write its model folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from operator import le
from pathlib import Path

import msgspec
import onnx
import torch
from msgspec import UNSET
from rich.console import Console

from serving.model.card import LABELS_FILE, MODEL_FILE, ContractError
from serving.model.classifier import Classifier
from serving.model.triton_config import triton_config
from training.datasets.views import photographed
from training.evaluation.calibration import confusion
from training.evaluation.evaluate_graph import (
    FULL_SIZE,
    Evaluation,
    EvaluationInputs,
    Pixels,
    Predict,
    SampleSizes,
    evaluate_graph,
)
from training.evaluation.photo_shift import to_photos
from training.export_options import INT8
from training.graph.onnx_export import run, to_onnx, with_metadata
from training.graph.quantize import (
    BESIDE_LIMITS,
    CALIBRATION_IMAGES,
    QUANTIZATION,
    REPLACEMENT_LIMITS,
    Int8Limits,
    comparison,
    measure,
    objections,
    quantize,
)
from training.pipeline import CalibratedModel
from training.progress import stage
from training.publish.card import Calibration, is_card_of, make_card
from training.publish.model_folder import ModelFolder, config_pbtxt, labels_text
from training.publish.readme import readme
from training.report import draw_confusion, draw_curves, evaluation_table

VERIFIED_IMAGES = 1_000  # test images for which the exported file must give the trained network's outputs
# In probability, where float32 sums in another order differ by about 1e-6, and in novelty, which is steeper.
TOLERANCES = 1e-5, 1e-4
# The least share of them to which int8 must give the trained network's label: a sound graph did to 99.3 % of 5,000
# (it is nearly as often right where the other is wrong), and among 1,000 that share varies by 0.3 points.
MIN_AGREEMENT = 0.98
TRITON_MAX_BATCH_SIZE = 64
CURVES_FILE, CONFUSION_FILE = "curves.png", "confusion.png"


class ExportError(Exception):
    """An exported file differs from the trained network; it was not published."""


@dataclass(frozen=True)
class Publisher:
    """Publishes a calibrated model in its folder among the models.

    data_dir: where to look for the out-of-distribution sets that come from published data. sizes: of the samples of
    the evaluation. beside_limits, replacement_limits: for keeping int8 beside float32, and in its place.
    """

    model: CalibratedModel
    models_dir: Path
    data_dir: Path | None
    console: Console
    sizes: SampleSizes = FULL_SIZE
    beside_limits: Int8Limits = BESIDE_LIMITS
    replacement_limits: Int8Limits = REPLACEMENT_LIMITS

    @cached_property
    def graph(self) -> onnx.ModelProto:
        """The model as the graph of the contract."""
        stage("Exporting the graph")
        return to_onnx(self.model.exported, *self.model.shape)

    @cached_property
    def photos(self) -> Pixels:
        """The first test images as photos: each graph is evaluated on the same."""
        return to_photos(self.model.data.test.pixels[: self.sizes.photos].numpy(), self.model.recipe.fit)

    def has_published(self, int8: bool) -> bool:
        """Return whether the newest version came from this very training, and print it if so.

        int8: whether it may be in int8.
        """
        newest = ModelFolder(self.models_dir, self.model.recipe.name).newest()
        try:
            card = Classifier.open(newest).card if newest else None
        except ContractError:  # a damaged file: the next version replaces it
            return False
        if not (newest and card and is_card_of(self.model, card) and (int8 or card.training.quantization is UNSET)):
            return False
        self.console.print(f"Published already: {newest.parent}", markup=False, soft_wrap=True)
        return True

    def export(self, int8: bool = False) -> None:
        """Evaluate, verify and publish the graph; int8: quantized, if that pays. Raises ExportError."""
        name = self.model.recipe.name
        if int8 and (quantized := self._quantize(self.replacement_limits)):
            self._export_quantized(quantized, name)
            return
        with self._publish(self.graph, self.model.predict, name) as file:
            difference = _verify(file, self.model)
        self.console.print(f"Served and trained network agree: largest difference {difference:.1e} in probability")

    def export_int8(self) -> None:
        """Publish the graph in int8 as a separate model, if it is worth keeping. Raises ExportError."""
        if quantized := self._quantize(self.beside_limits):
            self._export_quantized(quantized, f"{self.model.recipe.name}-{INT8}")

    def _quantize(self, limits: Int8Limits) -> onnx.ModelProto | None:
        """Return the graph in int8, or None where the limits forbid it; print the comparison."""
        stage("Quantizing to int8")
        train, validation = self.model.split
        pixels = train.pixels[:CALIBRATION_IMAGES]
        if self.model.recipe.knows_photos:  # their activations have other ranges
            photos = photographed(pixels, self.model.recipe.fit, torch.Generator().manual_seed(0))
            pixels = torch.cat([pixels, photos])
        quantized = quantize(self.graph, pixels.numpy())
        before, after = measure((self.graph, quantized), validation)
        self.console.print(comparison(before, after))
        if reasons := objections(before, after, limits):
            self.console.print(f"int8 was not kept: {'; '.join(reasons)}")
            return None
        return quantized

    def _export_quantized(self, quantized: onnx.ModelProto, name: str) -> None:
        with self._publish(quantized, partial(run, quantized), name, QUANTIZATION) as file:
            agreement = _verify_labels(file, self.model)
        self.console.print(f"Served in int8, {name} gives {agreement:.1%} of test images the trained network's label")

    @contextmanager
    def _publish(
        self, graph: onnx.ModelProto, expected: Predict, name: str, quantization: str | None = None
    ) -> Iterator[Path]:
        """Write a graph's whole folder as a draft, yield its file, and publish the draft unless the block fails.

        expected: gives the outputs that the golden samples must reproduce.
        """
        model = self.model
        folder = ModelFolder(self.models_dir, name)
        calibration, evaluation = self._evaluate(graph)
        stage(f"Writing {folder.name}")
        card = make_card(model, calibration, evaluation, expected, name, folder.next_version(), quantization)
        with folder.draft() as draft:
            file = draft / card.version / MODEL_FILE
            file.parent.mkdir()
            file.write_bytes(with_metadata(graph, card.to_metadata()))
            yield file
            if model.trained.epochs:
                draw_curves(model.trained.epochs, file.parent / CURVES_FILE)
            counts = confusion(evaluation.probabilities, model.data.test.labels)
            draw_confusion(counts, card.labels, file.parent / CONFUSION_FILE)
            plots = [f"{card.version}/{path.name}" for path in sorted(file.parent.glob("*.png"))]
            text = readme(msgspec.to_builtins(card), counts.tolist(), evaluation.coverage_by_label, plots)
            (draft / "README.md").write_text(text, encoding="utf-8")
            (draft / LABELS_FILE).write_text(labels_text(card.labels), encoding="utf-8")
            (draft / "config.pbtxt").write_text(_triton_text(model, card.name, card.novelty is not UNSET))
            published = folder.publish(draft, card.version)
        self.console.print(evaluation_table(evaluation, card.labels))
        self.console.print(f"Written to {published}", markup=False, soft_wrap=True)

    def _evaluate(self, graph: onnx.ModelProto) -> tuple[Calibration, Evaluation]:
        """Fit the graph's thresholds on the validation images, and evaluate it on the test images."""
        stage("Calibrating: thresholds of label sets and novelty")
        model, predict = self.model, partial(run, graph)
        calibration = Calibration.of(predict, model.split[1], model.photos)
        recipe, sets = model.recipe, calibration.conformal.default.sets
        inputs = EvaluationInputs(recipe.source.title, recipe.fit, model.temperature, sets, calibration.novelty)
        sizes = self.sizes if recipe.corruptions else replace(self.sizes, corrupted=0)
        evaluation = evaluate_graph(predict, inputs, model.data.test, self.photos, self.data_dir, self._warn, sizes)
        return calibration, evaluation

    def _warn(self, message: str) -> None:
        self.console.print(f"Note: {message}", style="yellow", markup=False, highlight=False, soft_wrap=True)


def _triton_text(model: CalibratedModel, name: str, has_novelty: bool) -> str:
    classes = len(model.recipe.source.labels)
    return config_pbtxt(
        triton_config(name, model.shape, classes, has_novelty=has_novelty, max_batch_size=TRITON_MAX_BATCH_SIZE)
    )


def _verify(file: Path, model: CalibratedModel) -> float:
    """Return the largest difference in probability between the file, as the service opens it, and the trained network.

    Raises ExportError when they differ by more than the tolerances, or in the number of correct test images.
    """
    stage("Verifying the file")
    test = model.data.test.take(slice(VERIFIED_IMAGES))
    pixels, labels = test.pixels.numpy(), test.labels.numpy()
    found, expected = _open(file).run(pixels), model.predict(pixels)
    differences = found.differences(expected)
    correct, should_be = ((outputs.probabilities.argmax(1) == labels).sum() for outputs in (found, expected))
    if not all(map(le, differences, TOLERANCES)) or correct != should_be:
        differ, allowed = (", ".join(f"{value:.2g}" for value in values) for values in (differences, TOLERANCES))
        raise ExportError(
            f"the exported {model.recipe.name} differs from the trained network by {differ} in probability and "
            f"novelty (at most {allowed}) and has {correct} of {len(test)} right instead of {should_be}: not published"
        )
    return differences[0]


def _verify_labels(file: Path, model: CalibratedModel) -> float:
    """Return the share of test images to which the file, as the service opens it, gives the trained network's label.

    Raises ExportError when it is less than MIN_AGREEMENT, or when the golden samples differ from the quantized graph's.
    """
    pixels = model.data.test.pixels[:VERIFIED_IMAGES].numpy()
    found, expected = _open(file).run(pixels), model.predict(pixels)
    agreement = float((found.probabilities.argmax(1) == expected.probabilities.argmax(1)).mean())
    if agreement < MIN_AGREEMENT:
        raise ExportError(
            f"{model.recipe.name} in int8 gives {agreement:.1%} of {len(pixels):,} test images the trained network's "
            f"label (at least {MIN_AGREEMENT:.0%} is needed): not published; export it with --float"
        )
    return agreement


def _open(file: Path) -> Classifier:
    """Open a file as the service does, golden samples included. Raises ExportError."""
    try:
        return Classifier.open(file)
    except ContractError as error:
        raise ExportError(f"the service refuses the exported file: {error}: not published") from error
