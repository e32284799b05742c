"""The card of an exported graph: what is known of it, as the service will read it."""

import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version as installed

import msgspec
import numpy as np
import torch
from msgspec import UNSET
from numpy.typing import NDArray

from serving.model.card import (
    Conformal,
    Golden,
    Level,
    Metrics,
    ModelCard,
    Novelty,
    Photos,
    Reference,
    Spread,
    Training,
)
from training.appraisal import Appraisal, Ask
from training.calibrate import conformal_threshold
from training.datasets.images import Images
from training.folder.golden import golden_images
from training.networks import parameters
from training.networks.novelty import FLAGGED
from training.trained import Trained

LIBRARIES = ("torch", "onnx", "onnxscript", "onnxruntime", "numpy", "pillow")
COVERAGE = 0.95  # of the sets that are given out unless a client asks for another
COVERAGES = tuple(percent / 100 for percent in range(80, 100))


@dataclass(frozen=True)
class Calibration:
    """What a graph's answers to held-out images say of how to read its answers.

    novelty: the threshold; None where the graph has no such output.
    """

    conformal: Conformal
    novelty: float | None
    reference: Reference

    @classmethod
    def of(cls, ask: Ask, held: Images) -> "Calibration":
        """Ask a graph for the held-out images."""
        answers = ask(held.pixels.numpy())
        thresholds = {
            coverage: conformal_threshold(torch.from_numpy(answers.probabilities), held.labels, coverage)
            for coverage in (*COVERAGES, COVERAGE)
        }
        return cls(
            Conformal(
                coverage=COVERAGE,
                threshold=thresholds[COVERAGE],
                levels=[Level(coverage, thresholds[coverage]) for coverage in COVERAGES],
            ),
            None if answers.novelty is None else float(np.quantile(answers.novelty, 1 - FLAGGED)),
            _reference(held.pixels.numpy(), answers.probabilities.astype(np.float64)),
        )


def card_of(
    trained: Trained, calibration: Calibration, appraisal: Appraisal, answer: Ask, version: str, variant: str = ""
) -> ModelCard:
    """Return the card of a trained network's graph.

    answer: gives the golden samples the answers that are to be expected. variant: what tells this graph from the
    network as it was trained, such as int8.
    """
    recipe = trained.recipe
    return ModelCard(
        schema=1,
        name=variant_name(recipe.name, variant),
        version=version,
        title=recipe.title,
        dataset=recipe.source.title,
        licence=recipe.source.licence,
        labels=list(recipe.source.labels),
        network=" ".join(filter(None, (trained.fitted.network.title, variant))),
        parameters=parameters(trained.fitted.network),
        fit=recipe.fit,
        metrics=Metrics(**asdict(appraisal.figures)),
        temperature=trained.temperature,
        conformal=calibration.conformal,
        novelty=_novelty(calibration, appraisal),
        photos=Photos(**asdict(appraisal.photos)),
        reference=calibration.reference,
        golden=_golden(golden_images(*trained.shape), answer),
        training=_training(trained),
    )


def is_of(trained: Trained, card: ModelCard) -> bool:
    """Whether an exported file with this card came of this very training."""
    ours = _training(trained)
    same = ("recipe", "seed", "seconds", "data_sha256", "epoch_accuracy")
    return all(getattr(card.training, name) == getattr(ours, name) for name in same)


def variant_name(name: str, variant: str) -> str:
    """Return what a variant's model folder is called."""
    return f"{name}-{variant}" if variant else name


def _reference(pixels: NDArray[np.uint8], probabilities: NDArray[np.float64]) -> Reference:
    n, classes = probabilities.shape
    entropy = -(probabilities * np.log(np.maximum(probabilities, np.finfo(float).tiny))).sum(1)
    return Reference(
        labels=[float(share) for share in np.bincount(probabilities.argmax(1), minlength=classes) / n],
        brightness=_spread(pixels.reshape(n, -1).mean(1) / 255),
        top_probability=_spread(probabilities.max(1)),
        entropy=_spread(entropy),
    )


def _spread(values: NDArray[np.float64]) -> Spread:
    return Spread(float(values.mean()), float(values.std()))


def _novelty(calibration: Calibration, appraisal: Appraisal) -> Novelty | msgspec.UnsetType:
    if calibration.novelty is None or appraisal.novelty is None:
        return UNSET
    return Novelty(threshold=calibration.novelty, share=appraisal.novelty.share, auroc=dict(appraisal.novelty.auroc))


def _golden(images: NDArray[np.uint8], answer: Ask) -> list[Golden]:
    probabilities, novelty = answer(images)
    novelties = [UNSET] * len(images) if novelty is None else novelty.tolist()
    return [Golden.of(*sample) for sample in zip(images, probabilities, novelties, strict=True)]


def _training(trained: Trained) -> Training:
    return Training(
        recipe=trained.recipe.name,
        seed=trained.recipe.seed,
        epochs=len(trained.fitted.epochs),
        seconds=round(trained.seconds, 1),
        device=trained.device.type,
        libraries={"python": platform.python_version(), **{name: installed(name) for name in LIBRARIES}},
        date=datetime.now(UTC).date().isoformat(),
        limit=trained.data.limit or UNSET,
        data_sha256=trained.data.train.sha256(),
        epoch_accuracy=[round(epoch.held_accuracy, 4) for epoch in trained.fitted.epochs],
    )
