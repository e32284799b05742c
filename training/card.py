"""The card of an exported graph: what is known of it, as the service will read it."""

import platform
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version as installed

import msgspec
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from serving.contract import Golden, Metrics, ModelCard, Training
from training.calibrate import figures
from training.golden import golden_images
from training.networks import parameters
from training.trained import Trained

LIBRARIES = ("torch", "onnx", "onnxscript", "onnxruntime", "numpy", "pillow")

Answer = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def card_of(trained: Trained, probabilities: Tensor, answer: Answer, version: str, variant: str = "") -> ModelCard:
    """Return the card of a trained network's graph.

    probabilities: [n, classes] of the test images. answer: gives the golden samples the probabilities that are to be
    expected. variant: what tells this graph from the network as it was trained, such as int8.
    """
    recipe, golden = trained.recipe, golden_images(*trained.shape)
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
        metrics=Metrics(**asdict(figures(probabilities, trained.data.test.labels))),
        temperature=trained.temperature,
        golden=[Golden.of(image, expected) for image, expected in zip(golden, answer(golden), strict=True)],
        training=_training(trained),
    )


def variant_name(name: str, variant: str) -> str:
    """Return what a variant's model folder is called."""
    return f"{name}-{variant}" if variant else name


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
