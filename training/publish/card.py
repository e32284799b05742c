"""The card of an exported graph, as the service reads it."""

import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version as installed
from math import sqrt

import msgspec
import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from serving.model.card import Golden, ModelCard, Training
from serving.model.conformal import Conformal
from serving.model.metrics import Novelty
from serving.model.task import MultiLabel
from training.calibrated_model import CalibratedModel
from training.evaluation.evaluate_graph import Evaluation, Predict
from training.evaluation.thresholds import DEFAULT_COVERAGE, Calibration
from training.networks.base import count_parameters
from training.networks.titles import INT8_SUFFIX
from training.publish.golden import golden_images
from training.recipe import name_of

LIBRARIES = ("torch", "onnx", "onnxscript", "onnxruntime", "numpy", "pillow")
FEW_CALIBRATION_IMAGES = 500  # from which on the coverage of nine label sets in ten lies within 1.6 points of its aim


def make_card(
    model: CalibratedModel,
    calibration: Calibration,
    evaluation: Evaluation,
    expected: Predict,
    name: str,
    version: str,
    quantization: str | None = None,
    notes: Sequence[str] = (),
) -> ModelCard:
    """Return the card of a model's graph.

    expected: gives the outputs that the golden samples must reproduce. quantization: how the graph was quantized; None
    for float32. notes: on what the figures do not say.
    """
    recipe, decision = model.recipe, calibration.task.decision
    return ModelCard(
        schema=1,
        name=name,
        version=version,
        title=recipe.title,
        dataset=recipe.source.title,
        licence=_licence(model),
        labels=list(recipe.source.labels),
        network=f"{model.trained.network.title}{INT8_SUFFIX if quantization else ''}",
        parameters=count_parameters(model.trained.network),
        task=decision if isinstance(decision, MultiLabel) else UNSET,
        fit=recipe.fit,
        metrics=msgspec.structs.replace(evaluation.metrics, corrupted=evaluation.corrupted or UNSET),
        temperature=model.temperature,
        conformal=calibration.conformal,
        novelty=_novelty(calibration, evaluation),
        photos=evaluation.photos,
        reference=calibration.reference,
        golden=_golden(golden_images(*model.shape), expected),
        training=_training(model, quantization),
        notes=list(notes) or UNSET,
    )


def calibration_notes(n: int, conformal: Conformal) -> list[str]:
    """Return a note where the temperature and the thresholds were fitted on n images, and these are few."""
    if n >= FEW_CALIBRATION_IMAGES:
        return []
    few = f"Calibrated on {n:,} validation images only: probabilities are rough, and"
    if not np.any(conformal.threshold):
        telling = [level.coverage for level in conformal.levels if np.any(level.threshold)]
        advice = f", or ask for coverage={max(telling):g}" if telling else ""
        return [f"{few} at {conformal.coverage:.0%} coverage each label set has all labels. Add images{advice}."]
    spread = 1.645 * sqrt(DEFAULT_COVERAGE * (1 - DEFAULT_COVERAGE) / (n + 2))  # of a beta distribution, nearly
    low, high = max(DEFAULT_COVERAGE - spread, 0), min(DEFAULT_COVERAGE + spread, 1)
    return [
        f"{few} label sets that aim at {DEFAULT_COVERAGE:.0%} may hold the true label in {low:.0%} to {high:.0%} of "
        "cases."
    ]


def is_card_of(model: CalibratedModel, card: ModelCard) -> bool:
    """Return whether an exported file with this card came from this very training."""
    if card.labels != list(model.recipe.source.labels) or card.metrics.n != len(model.data.test):
        return False  # the digest is of the training images, and of labels as indices
    training = _training(model)
    fields = ["recipe", "seed", "data_sha256", "epoch_accuracy"]
    if model.recipe.frozen:  # a last layer is fitted anew, in other seconds, and alike where the rest is
        network = model.trained.network.title, _licence(model)
        if (card.network.removesuffix(INT8_SUFFIX), card.licence) != network:
            return False
        fields.append("augmentations")
    else:
        fields.append("seconds")
    return all(getattr(card.training, name) == getattr(training, name) for name in fields)


def _licence(model: CalibratedModel) -> str:
    return "; ".join(filter(None, (model.recipe.source.licence, model.trained.network.licence)))


def _novelty(calibration: Calibration, evaluation: Evaluation) -> Novelty | msgspec.UnsetType:
    if calibration.novelty is None or evaluation.novelty is None:
        return UNSET
    measured = evaluation.novelty
    return Novelty(threshold=calibration.novelty, share=measured.share, auroc=dict(measured.auroc))


def _golden(images: NDArray[np.uint8], expected: Predict) -> list[Golden]:
    probabilities, novelty = expected(images)
    novelties = [UNSET] * len(images) if novelty is None else novelty.tolist()
    return [Golden.of(*sample) for sample in zip(images, probabilities, novelties, strict=True)]


def _training(model: CalibratedModel, quantization: str | None = None) -> Training:
    epochs = model.trained.epochs
    return Training(
        recipe=model.recipe.name,
        seed=model.recipe.seed,
        epochs=len(epochs),
        seconds=round(model.seconds, 1),
        device=model.trained.device,
        libraries={"python": platform.python_version(), **{name: installed(name) for name in LIBRARIES}},
        date=datetime.now(UTC).date().isoformat(),
        limit=model.data.limit or UNSET,
        quantization=quantization or UNSET,
        teachers=list(model.trained.teachers) or UNSET,
        view=name_of(model.recipe.view) if model.recipe.view and epochs else UNSET,
        augmentations=list(model.trained.augmentations) or UNSET,
        data_sha256=model.data.train.sha256(),
        epoch_accuracy=[round(epoch.val_accuracy, 4) for epoch in epochs],
    )
