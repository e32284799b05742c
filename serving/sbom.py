"""python -m serving.sbom: the packages and the models of this installation, as a document of CycloneDX 1.6.

It has a library for each Python package of the environment (SBOM), and a machine-learning-model made from the card of
each model file (ML-BOM). The same installation gives the same document: there is no time in it.
"""

import argparse
import os
import re
import sys
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

from serving.model.card import INPUT, MODEL_FILE, PROBABILITIES, ContractError
from serving.model.classifier import Classifier
from serving.version import NAME, installed_version

Component = dict[str, Any]
MAX_LICENSE_NAME = 100  # some packages have the whole text in that field


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the document to standard output and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m serving.sbom", description="List packages and models.")
    parser.add_argument("--models", type=Path, default=Path("models"), help="the model folder; default models")
    options = parser.parse_args(arguments)
    if not os.path.isdir(options.models):  # noqa: PTH112  # Path's raises in a folder that may not be entered
        parser.error(f"--models {options.models}: there is no such folder, or it cannot be read")
    try:
        listed = document(options.models)
    except ContractError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(listed), indent=1).decode() + "\n")
    return 0


def document(models: Path) -> dict[str, Any]:
    """Return the document; raises ContractError naming a model file that breaks the contract."""
    files = sorted(models.glob(f"[!.]*/[!.]*/{MODEL_FILE}"))  # in hidden folders are drafts
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": NAME, "version": installed_version()}},
        "components": [*packages(), *(model(Classifier.open(file)) for file in files)],
    }


def packages() -> Iterator[Component]:
    """Yield a component for each Python package of this environment, but for this project."""
    found: dict[str, metadata.Distribution] = {}
    for one in metadata.distributions():  # in the order of the path: of two with a name, Python imports the first
        if name := one.metadata["Name"]:  # an interrupted pip leaves folders without one
            found.setdefault(_normalized(name), one)
    for name, one in sorted(found.items()):
        if name != NAME:
            purl = f"pkg:pypi/{name}@{one.version}"
            component = {"type": "library", "bom-ref": purl, "name": name, "version": one.version, "purl": purl}
            yield component | _licenses(one.metadata["License-Expression"], one.metadata["License"])


def _normalized(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _licenses(expression: str | None, name: str | None) -> Component:
    if expression:
        return {"licenses": [{"expression": expression}]}
    return {"licenses": [{"license": {"name": name}}]} if name and len(name) <= MAX_LICENSE_NAME else {}


def model(classifier: Classifier) -> Component:
    """Return the component of a model, as its card describes it."""
    card, shape = classifier.card, f"{classifier.height}, {classifier.width}, {classifier.channels}"
    metrics = {"accuracy": card.metrics.accuracy, "loss": card.metrics.loss, "ece": card.metrics.ece}
    return {
        "type": "machine-learning-model",
        "bom-ref": f"model:{card.name}@{card.version}",
        "name": card.name,
        "version": card.version,
        "description": card.title,
        "hashes": [{"alg": "SHA-256", "content": classifier.digest.removeprefix("sha256:")}],
        "licenses": [{"license": {"name": card.licence}}],
        "modelCard": {
            "modelParameters": {
                "approach": {"type": "supervised"},
                "task": "image classification",
                "modelArchitecture": f"{card.network}, {card.parameters:,} parameters",
                "datasets": [{"type": "dataset", "name": card.dataset}],
                "inputs": [{"format": f"{INPUT}: uint8 [batch, {shape}]"}],
                "outputs": [{"format": f"{PROBABILITIES}: float32 [batch, {len(card.labels)}]"}],
            },
            "quantitativeAnalysis": {
                "performanceMetrics": [
                    {"type": kind, "value": f"{value:.4f}", "slice": f"{card.metrics.n:,} test images"}
                    for kind, value in metrics.items()
                ]
            },
        },
        "properties": [
            {"name": "thimble:training.date", "value": card.training.date},
            {"name": "thimble:training.data_sha256", "value": card.training.data_sha256},
        ],
    }


if __name__ == "__main__":
    sys.exit(main())
