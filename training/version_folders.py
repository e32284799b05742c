"""The numbered versions in a model's folder, as the service counts them."""

import re
from pathlib import Path

from serving.model.card import MODEL_FILE, VERSION


def version_numbers(folder: Path) -> list[int]:
    """Return the numbers of the versions, lowest first; of no folder there are none."""
    return sorted(int(path.name) for path in folder.glob("[1-9]*") if re.fullmatch(VERSION, path.name))


def newest_file(folder: Path) -> Path | None:
    """Return the model file of the highest version that has one, which is the one that answers; None without any."""
    files = (folder / str(number) / MODEL_FILE for number in reversed(version_numbers(folder)))
    return next((file for file in files if file.is_file()), None)
