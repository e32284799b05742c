"""The names that folders and tables give to splits."""

import re
from collections.abc import Iterable
from pathlib import Path

from training.datasets.folder_files import holds_folders, subfolders

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = {
    "train": TRAIN,
    "val": VALIDATION,
    "test": TEST,
    "training": TRAIN,
    "valid": VALIDATION,
    "validation": VALIDATION,
    "dev": VALIDATION,
    "eval": VALIDATION,
    "testing": TEST,
}
# It matches seg_train, Test Set and val2017 once all but their letters is removed.
DECORATED = re.compile(rf"(?:seg)?({'|'.join(SPLITS)})(?:data)?(?:set|split|images)?")
NO_LETTERS = re.compile(r"[\W\d_]+")
WORD = re.compile(r"[^\W\d_]+")


def split_named(name: str) -> str:
    """Return the split that a name is of, also as train_set, Test-Data or val2017; "" for any other name."""
    match = DECORATED.fullmatch(NO_LETTERS.sub("", name.lower()))
    return SPLITS[match[1]] if match else ""


def _splits_named(names: Iterable[str]) -> dict[str, str]:
    """Return the split that each of these names is of, "" for none: also of flowers_train beside flowers_test."""
    found = {name: split_named(name) for name in names}
    words = {name: WORD.findall(name.lower()) for name in found}
    naming = {name: own for name, own in words.items() if any(map(split_named, own))}
    if any(found.values()) or not naming:
        return found
    common = set.intersection(*map(set, naming.values()))
    split = {name: split_named("".join(word for word in own if word not in common)) for name, own in naming.items()}
    return found | split if TRAIN in split.values() and all(split.values()) else found


def splits_in(path: Path) -> dict[Path, str]:
    """Return the folders in a folder, in order, and the split that each is of by its name; "" for none."""
    folders = sorted(subfolders(path))
    split_of = _splits_named(folder.name for folder in folders)
    return {folder: split_of[folder.name] for folder in folders}


def holds_splits(folder: Path) -> bool:
    """Return whether the folder of a label has folders of splits alone in it, one to train on among them."""
    splits = splits_in(folder).values()
    return holds_folders(folder) and all(splits) and TRAIN in splits and len(splits) > 1
