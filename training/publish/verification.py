"""The exported file, opened as the service opens it, beside the trained network."""

from operator import le
from pathlib import Path

import numpy as np
import torch

from serving.model.card import ContractError
from serving.model.classifier import Classifier
from training.calibrated_model import CalibratedModel
from training.progress import stage
from training.task import task_of

VERIFIED_IMAGES = 1_000  # test images for which the exported file must give the trained network's outputs
# In probability, where float32 sums in another order differ by about 1e-6, and in novelty, which is steeper.
TOLERANCES = 1e-5, 1e-3
# The least share of them to which int8 must give the trained network's label, or probabilities within NEAR of its own.
# A sound graph gave the label to 99.3% of 5,000 (it is nearly as often right where the other is wrong); among 1,000
# that share varies by 0.3 points.
MIN_AGREEMENT = 0.98
NEAR = 0.1


class ExportError(Exception):
    """An exported file differs from the trained network; it was not published."""


def verify(file: Path, model: CalibratedModel) -> float:
    """Return the largest difference in probability between the file, as the service opens it, and the trained network.

    Raises ExportError when they differ by more than the tolerances, or in the number of correct test images.
    """
    stage("Verifying the file")
    test = model.data.test.take(slice(VERIFIED_IMAGES))
    pixels, classifier = test.pixels.numpy(), _open(file)
    found, expected = classifier.run(pixels), model.predict(pixels)
    differences = found.differences(expected)
    task = task_of(classifier.card.decision)
    correct, should_be = (
        int(task.right(torch.from_numpy(outputs.probabilities), test.labels).sum()) for outputs in (found, expected)
    )
    if not all(map(le, differences, TOLERANCES)) or correct != should_be:
        differ, allowed = (", ".join(f"{value:.2g}" for value in values) for values in (differences, TOLERANCES))
        raise ExportError(
            f"the exported {model.recipe.name} differs from the trained network by {differ} in probability and "
            f"novelty (at most {allowed}) and has {correct} of {len(test)} right instead of {should_be}: not published"
        )
    return differences[0]


def verify_labels(file: Path, model: CalibratedModel) -> float:
    """Return the share of test images to which the file, as the service opens it, gives the trained network's labels.

    Probabilities that are all within NEAR of the network's count as well: of labels that are nearly tied either may be
    given. Raises ExportError when the share is less than MIN_AGREEMENT, or when the golden samples differ from the
    quantized graph's.
    """
    pixels = model.data.test.pixels[:VERIFIED_IMAGES].numpy()
    classifier = _open(file)
    found, expected = (run(pixels).probabilities for run in (classifier.run, model.predict))
    same = (classifier.card.decide(found) == classifier.card.decide(expected)).all(1)
    agreement = float((same | (np.abs(found - expected).max(1) <= NEAR)).mean())
    if agreement < MIN_AGREEMENT:
        raise ExportError(
            f"{model.recipe.name} in int8 gives {agreement:.1%} of {len(pixels):,} test images the trained network's "
            f"label or nearly its probabilities, at least {MIN_AGREEMENT:.0%} is needed: not published; export it with "
            "--float"
        )
    return agreement


def _open(file: Path) -> Classifier:
    """Open a file as the service does, golden samples included. Raises ExportError."""
    try:
        return Classifier.open(file)
    except ContractError as error:
        raise ExportError(f"the service refuses the exported file: {error}: not published") from error
