"""python -m serving.verify: check that model files are signed, and would be served."""

import argparse
import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path

from serving.model.card import MODEL_FILE, ContractError
from serving.model.classifier import Classifier
from serving.repository.loader import check_place
from serving.repository.model_key import ModelKey, ModelKeyError
from serving.repository.trials import Trials
from serving.settings import variable

KEY_VARIABLE = variable("model_key")
DEPTH = 3  # of a model file in a folder of models


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0 if all files are signed with the key and would be served."""
    parser = argparse.ArgumentParser(
        prog="python -m serving.verify",
        description="Check that model files are signed with a key, would be served, and lie in the folder of the name "
        "and the version that their card says. The signature of model.onnx is in model.sig beside it.",
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="FILE|DIR", help="a model file, or a folder with some")
    parser.add_argument(
        "--key",
        default=os.environ.get(KEY_VARIABLE),
        metavar="FILE",
        help=f"the public key in PEM (default: ${KEY_VARIABLE})",
    )
    options = parser.parse_args(arguments)
    if not options.key:
        parser.error(f"name the public key: --key FILE, or set {KEY_VARIABLE}")
    try:
        key = ModelKey(Path(options.key))
    except ModelKeyError as error:
        parser.error(f"--key {options.key}: {error}")
    if isinstance(sys.stdout, TextIOWrapper):  # otherwise a path that its encoding lacks ends in a traceback
        sys.stdout.reconfigure(errors="backslashreplace")
    results = [_verify(file.absolute(), key) for path in options.paths for file in _files(path)]
    return 0 if all(results) else 1


def _files(path: Path) -> list[Path]:
    """Return the model files at a path, but for those in hidden folders, which are not served.

    A folder that has none is taken for a missing file.
    """
    if not os.path.isdir(path):  # noqa: PTH112  # Path's raises in a folder that may not be entered
        return [path]
    found = sorted(file for depth in range(DEPTH) for file in path.glob("[!.]*/" * depth + MODEL_FILE))
    return found or [path / MODEL_FILE]


def _verify(path: Path, key: ModelKey) -> bool:
    """Check a file, print the outcome, and return whether it is good."""
    try:
        classifier = Classifier.open(path, fault=lambda digest: key.fault(path, digest), trial=Trials().fault)
        if path.name == MODEL_FILE:  # of another name it is not in a folder of models
            check_place(path, classifier.card)
    except ContractError as error:
        print(error)
        return False
    card = classifier.card
    print(f"{path}: signed: {card.name!r} version {card.version}, {classifier.digest}")
    return True


if __name__ == "__main__":
    sys.exit(main())
