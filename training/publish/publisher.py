"""Publish a calibrated model: export the graph, evaluate it, verify the file and write its model folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import msgspec
import onnx
import torch
from msgspec import UNSET
from rich.console import Console

from serving.model.card import MODEL_FILE, ContractError, ModelCard
from serving.model.classifier import Classifier, Outputs
from training.calibrated_model import CalibratedModel
from training.datasets.image_folder import ImageFolder
from training.datasets.pixels import Pixels
from training.datasets.views import photographed
from training.evaluation.calibration import confusion
from training.evaluation.evaluate_graph import Evaluation, EvaluationInputs, Predict, evaluate_graph
from training.evaluation.photo_shift import to_photos
from training.evaluation.thresholds import Calibration
from training.graph.measurement import (
    BESIDE_LIMITS,
    REPLACEMENT_LIMITS,
    Int8Limits,
    comparison,
    measure,
    objections,
)
from training.graph.onnx_export import run, to_onnx, with_metadata, without_novelty
from training.graph.quantize import CALIBRATION_IMAGES, QUANTIZATION, QuantizationError, quantize
from training.networks.titles import has_frozen_backbone
from training.option_types import INT8
from training.progress import say, stage
from training.publish.card import calibration_notes, is_card_of, make_card
from training.publish.comparison import UNLESS_WORSE, Release, VersionComparison, compare, guessing_note
from training.publish.label_figures import label_figures
from training.publish.model_folder import README_FILE, REPORT_FILE, ModelFolder, describe
from training.publish.readme import readme
from training.publish.report import write_report
from training.publish.verification import verify, verify_labels
from training.report import draw_confusion, draw_curves, evaluation_table
from training.sample_sizes import FULL_SIZE, SampleSizes
from training.train.interrupt import without_interruption

MIN_NOVELTY_AUROC = 0.8  # on each out-of-distribution set; a score that tells them worse misleads whoever reads it
CURVES_FILE, CONFUSION_FILE = "curves.png", "confusion.png"


@dataclass(frozen=True)
class Publisher:
    """Publishes a calibrated model in its folder among the models.

    data_dir: where to look for the out-of-distribution sets that come from published data. sizes: of the samples of
    the evaluation. release: whether to publish or to keep a draft. beside_limits, replacement_limits: for keeping int8
    beside float32, and in its place.
    """

    model: CalibratedModel
    models_dir: Path
    data_dir: Path | None
    console: Console
    sizes: SampleSizes = FULL_SIZE
    release: Release = UNLESS_WORSE
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

    def has_published(self, name: str, int8: bool) -> bool:
        """Return whether the newest version of a model came from this very training, and print it if so.

        int8: whether it may be in int8.
        """
        newest = ModelFolder(self.models_dir, name).newest()
        try:
            card = Classifier.open(newest).card if newest else None
        except ContractError:  # a damaged file: the next version replaces it
            return False
        if not (newest and card and is_card_of(self.model, card) and (int8 or card.training.quantization is UNSET)):
            return False
        self._say(f"Published already: {newest.parent}")
        return True

    def export(self, int8: bool = False) -> None:
        """Evaluate, verify and publish the graph; int8: quantized, if that pays. Raises ExportError."""
        name = self.model.recipe.name
        if int8 and (quantized := self._quantize(self.replacement_limits)):
            self._export_quantized(quantized, name)
            return
        with self._publish(self.graph, self.model.predict, name) as file:
            difference = verify(file, self.model)
        self.console.print(f"Served and trained network agree: largest difference {difference:.1e} in probability")

    def export_int8(self) -> None:
        """Publish the graph in int8 as a separate model, if it is worth keeping. Raises ExportError."""
        if quantized := self._quantize(self.beside_limits):
            self._export_quantized(quantized, f"{self.model.recipe.name}-{INT8}")

    def _quantize(self, limits: Int8Limits) -> onnx.ModelProto | None:
        """Return the graph in int8, or None where it cannot be or the limits forbid it; print the comparison."""
        stage("Quantizing to int8")
        train, validation = self.model.split
        pixels = train.pixels[:CALIBRATION_IMAGES]
        if self.model.recipe.flagged_photos:  # their activations have other ranges
            photos = photographed(pixels, self.model.recipe.fit, torch.Generator().manual_seed(0))
            pixels = torch.cat([pixels, photos])
        try:
            quantized = quantize(self.graph, pixels.numpy())
        except QuantizationError as error:
            self._say(f"int8 was not kept: {error}")
            return None
        before, after = measure((self.graph, quantized), validation, task=self.model.recipe.task)
        self.console.print(comparison(before, after))
        if reasons := objections(before, after, limits):
            self.console.print(f"int8 was not kept: {'; '.join(reasons)}")
            return None
        return quantized

    def _export_quantized(self, quantized: onnx.ModelProto, name: str) -> None:
        with self._publish(quantized, partial(run, quantized), name, QUANTIZATION) as file:
            agreement = verify_labels(file, self.model)
        self._say(f"In int8 {agreement:.1%} of test images get the trained network's label or nearly its probabilities")

    @contextmanager
    def _publish(
        self, graph: onnx.ModelProto, expected: Predict, name: str, quantization: str | None = None
    ) -> Iterator[Path]:
        """Write a graph's whole folder as a draft, yield its file, and publish or keep it unless the block fails.

        expected: gives the outputs that the golden samples must reproduce.
        """
        model = self.model
        folder = ModelFolder(self.models_dir, name)
        calibration, evaluation = self._evaluate(graph)
        notes = calibration_notes(len(model.split[1]), calibration.conformal)
        if isinstance(model.recipe.source, ImageFolder):
            notes += filter(None, [guessing_note(evaluation.macro_accuracy, model.data.test.labels)])
        if reason := self._weak_novelty(evaluation):
            notes.append(reason)
            graph, expected = without_novelty(graph), partial(_probabilities, expected)
            calibration, evaluation = replace(calibration, novelty=None), replace(evaluation, novelty=None)
        for note in notes:
            self._warn(note)
        stage(f"Writing {folder.name}")
        version = folder.next_version()
        card = make_card(model, calibration, evaluation, expected, name, version, quantization, notes)
        with folder.draft() as draft:
            file = draft / card.version / MODEL_FILE
            file.parent.mkdir()
            file.write_bytes(with_metadata(graph, card.to_metadata()))
            yield file
            self._draw_plots(file.parent, card, evaluation)
            plots = [f"{card.version}/{path.name}" for path in sorted(file.parent.glob("*.png"))]
            truth = model.data.test.labels
            figures = label_figures(card, evaluation.probabilities, truth, evaluation.coverage_by_label)
            text = readme(msgspec.to_builtins(card), figures, plots, model.shape[0])
            (draft / README_FILE).write_text(text, encoding="utf-8")
            describe(draft, card, model.shape)
            messages = write_report(file.parent, model, card, evaluation)
            self.console.print(evaluation_table(evaluation, card.labels))
            for message in messages:
                self._say(message)
            self._release(folder, draft, card, evaluation)

    def _draw_plots(self, version: Path, card: ModelCard, evaluation: Evaluation) -> None:
        """Draw the curves of the training, if it had epochs, and the confusion matrix, if an image has one label."""
        epochs, truth = self.model.trained.epochs, self.model.data.test.labels
        if epochs and not has_frozen_backbone(card.network):  # a last layer that is fitted at once has no curve
            draw_curves(epochs, "Muon" if self.model.recipe.muon else "AdamW", version / CURVES_FILE)
        if not card.task:
            draw_confusion(confusion(evaluation.probabilities, truth), card.labels, version / CONFUSION_FILE)

    def _release(self, folder: ModelFolder, draft: Path, card: ModelCard, evaluation: Evaluation) -> None:
        """Publish a draft, or keep it where it must not take the place of the version that answers."""
        folder.refuse_published(card.version)  # otherwise it would be compared with a version that has its number
        before = self._compare(folder, card, evaluation)
        if before:
            self._say(str(before))
        with without_interruption():  # what was written is told, too
            if objection := self.release.objection(before):
                kept = folder.keep(draft)
                target = kept / card.version
                self._say(f"Not published: {objection}. Kept as a draft in {kept}; to publish it:")
                self._say(f"python -m training.versions {folder.name} --models-dir {folder.models} --promote")
            else:
                target = folder.publish(draft, card.version)
                self._say(f"Written to {target}; to serve it: python -m serving --models {folder.models}")
            if (report := target / REPORT_FILE).exists():
                self._say(f"How good it is, with pictures of its mistakes: {report}")

    def _compare(self, folder: ModelFolder, card: ModelCard, evaluation: Evaluation) -> VersionComparison | None:
        """Compare with the version that answers; None where there is none that the service would take."""
        if newest := folder.newest():
            try:
                return compare(Classifier.open(newest), card, evaluation.probabilities, self.model.data.test)
            except ContractError as error:
                self._warn(f"not compared with the version before: {error}")
        return None

    def _weak_novelty(self, evaluation: Evaluation) -> str | None:
        """Return why a model of own images goes without its novelty score; None where the score is good enough.

        The published recipes were chosen by that score too, and their README gives its AUROC on each set, low ones too.
        """
        if not evaluation.novelty or not isinstance(self.model.recipe.source, ImageFolder):
            return None
        worst, auroc = min(evaluation.novelty.auroc.items(), key=lambda item: item[1])
        if auroc >= MIN_NOVELTY_AUROC:
            return None
        return (
            f"The novelty score was left out: it tells {worst} from test images with an AUROC of {auroc:.2f}, and at "
            f"least {MIN_NOVELTY_AUROC:g} is needed. So no answer says whether an image is unlike the training images."
        )

    def _evaluate(self, graph: onnx.ModelProto) -> tuple[Calibration, Evaluation]:
        """Fit the graph's thresholds on the validation images, and evaluate it on the test images."""
        stage("Calibrating: thresholds of label sets and novelty")
        model, recipe, predict = self.model, self.model.recipe, partial(run, graph)
        fitted = Calibration.of(predict, model.split[1], recipe, model.photos)
        dataset, temperature = recipe.source.title, model.temperature
        inputs = EvaluationInputs(dataset, recipe.fit, temperature, fitted.sets, fitted.novelty, fitted.task)
        test, sizes = model.data.test, self.sizes
        return fitted, evaluate_graph(predict, inputs, test, self.photos, self.data_dir, self._warn, sizes)

    def _say(self, message: str) -> None:
        say(self.console, message)

    def _warn(self, message: str) -> None:
        say(self.console, f"Note: {message}", "yellow")


def _probabilities(predict: Predict, pixels: Pixels) -> Outputs:
    """Return a prediction without its novelty."""
    return Outputs(predict(pixels).probabilities)
