"""The files and folders in a folder of own images, except hidden ones and those that systems add."""

import os
from collections.abc import Iterator
from pathlib import Path

from serving.imaging.suffixes import SUFFIXES, is_hidden
from training.datasets.label_table import find_table


def files_in(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder and those below it, except hidden ones. Raises OSError where one may not be read."""
    return (path for path in _paths_in(folder) if path.is_file())


def _paths_in(folder: Path) -> Iterator[Path]:
    for path in _listed(folder):
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _paths_in(path)


def _listed(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if not is_hidden(path.name))


def images_in(folder: Path) -> Iterator[Path]:
    """Yield those of the files whose names end as an image's does."""
    return (file for file in files_in(folder) if file.suffix.lower() in SUFFIXES)


def unfollowed_links(folder: Path, deep: bool = True) -> Iterator[Path]:
    """Yield the links in a folder that lead nowhere and, unless not deep, those below it and the links to folders."""
    for link in _paths_in(folder) if deep else _listed(folder):
        if link.is_symlink() and ((deep and link.is_dir()) or not link.exists()):
            yield link


def subfolders(folder: Path) -> Iterator[Path]:
    """Yield the folders directly in a folder, except hidden ones."""
    return (path for path in _listed(folder) if path.is_dir())


def hidden_labels(folder: Path) -> Iterator[Path]:
    """Yield the folders directly in a folder that have images, and names that begin with a dot."""
    for path in folder.glob(".*/"):
        if os.access(path, os.R_OK | os.X_OK) and any(loose_images(path)):
            yield path


def is_read_among(images: Path, place: Path) -> bool:
    """Return whether a file or folder in this place would be taken for one of the images, or for one of their labels.

    Raises DataError where the folder of images has several tables.
    """
    root, inner = images.resolve(), place.resolve()
    if not (images.is_dir() and inner.is_relative_to(root)) or find_table(images):
        return False
    return not any(is_hidden(part) for part in inner.relative_to(root).parts)


def holds_folders(folder: Path) -> bool:
    """Return whether a folder is one of labels: it has folders with files in them, and no image of its own."""
    return not any(loose_images(folder)) and any(any(files_in(inner)) for inner in subfolders(folder))


def loose_images(folder: Path) -> Iterator[Path]:
    """Yield the images directly in a folder."""
    return (file for file in _listed(folder) if file.suffix.lower() in SUFFIXES and file.is_file())
