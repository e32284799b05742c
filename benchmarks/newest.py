"""The version of a model that the service answers with."""

import re
from pathlib import Path

from serving.model.card import NAME
from training.version_folders import newest_file


def newest(models: Path, name: str) -> Path:
    """Return the graph of a model's highest version. Raises FileNotFoundError without one."""
    if file := newest_file(models / name):
        return file
    raise FileNotFoundError(f"{models / name}: no version with a model in it; export the model first")


def model_names(models: Path) -> list[str]:
    """Return the names of the models of a folder that have a version which answers."""
    return sorted(path.name for path in models.iterdir() if re.fullmatch(NAME, path.name) and newest_file(path))
