"""The files and folders in a folder of own images, except hidden ones and those that systems add."""

from collections.abc import Iterator
from pathlib import Path

from serving.imaging.suffixes import SUFFIXES, is_hidden
from training.datasets.label_table import find_table


def files_in(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder and in those below it, except hidden ones."""
    for file in folder.rglob("*"):
        hidden = any(is_hidden(part) for part in file.relative_to(folder).parts)
        if file.is_file() and not hidden:
            yield file


def images_in(folder: Path) -> Iterator[Path]:
    """Yield those of the files whose names end as an image's does."""
    return (file for file in files_in(folder) if file.suffix.lower() in SUFFIXES)


def unfollowed_links(folder: Path, deep: bool = True) -> Iterator[Path]:
    """Yield the links in a folder that lead nowhere and, unless not deep, those below it and the links to folders."""
    for link in folder.rglob("*") if deep else folder.iterdir():
        hidden = any(is_hidden(part) for part in link.relative_to(folder).parts)
        if link.is_symlink() and not hidden and ((deep and link.is_dir()) or not link.exists()):
            yield link


def subfolders(folder: Path) -> Iterator[Path]:
    """Yield the folders directly in a folder, except hidden ones."""
    return (path for path in folder.iterdir() if path.is_dir() and not is_hidden(path.name))


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
    listed = (file for file in folder.iterdir() if not file.name.startswith("."))
    return (file for file in listed if file.suffix.lower() in SUFFIXES and file.is_file())
