"""The layout of own images: which files there are, the label of each, and its split where the folders name splits."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import msgspec

from serving.model.card import MAX_LABEL_CHARS, Label
from training.datasets.folder_files import files_in, hidden_labels, holds_folders, images_in, loose_images, subfolders
from training.datasets.formats import DataError
from training.datasets.image_file import JOINERS, printable
from training.datasets.label_table import find_table, foreign_tables, read_table
from training.datasets.left_out import counted, link_messages, nesting_messages
from training.datasets.name_prefix import prefix_of
from training.datasets.split_names import SPLITS, TRAIN, holds_splits, split_named, splits_in

ADVICE = "make a folder of images for each label in it, such as roses/1.jpg and tulips/1.jpg"
TABLE_ADVICE = "name them in its column label, in rows such as roses/1.jpg,rose and tulips/1.jpg,tulip"


class LabelledFile(NamedTuple):
    """An image's file and its labels, which is one but in some tables; split: "" where the layout leaves it open."""

    labels: tuple[str, ...]
    path: Path
    split: str = ""


@dataclass(frozen=True)
class Layout:
    """The files found. kind: the layout in words. left_out: what was found beside them, as messages."""

    kind: str
    files: tuple[LabelledFile, ...]
    left_out: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in index order."""
        return tuple(sorted({label for file in self.files for label in file.labels}))


def find_layout(path: Path, multi_label: bool = False) -> Layout:
    """Find the images in a folder, or those that a CSV of file,label names, in whichever layout they are.

    multi_label: an image may have several labels, or none, as only a CSV can say. Raises DataError where nothing can be
    learned from them, or where they contradict each other.
    """
    if not path.exists():
        raise DataError(f"{printable(path)}: no such folder; {ADVICE}")
    table = find_table(path)
    if multi_label and not table:
        raise DataError(
            f"{printable(path)}: folders give each image one label; for several, name a CSV with the columns "
            "file,label and rows such as photos/1.jpg,cat;dog (several labels) or photos/2.jpg, (none of them)"
            f"{_first_of(foreign_tables(path))}"
        )
    if table:
        layout = _of_table(path, table, multi_label)
    else:
        layout = _of_folder(path)
        layout = replace(layout, left_out=(*foreign_tables(path), *layout.left_out))
    _check_labels(path, layout, is_table=bool(table))
    _check_splits(path, layout)
    return layout


def _of_folder(path: Path) -> Layout:
    split_of = splits_in(path)
    folders, splits = [*split_of], [folder for folder, split in split_of.items() if split and holds_folders(folder)]
    if splits:
        return _of_splits(path, split_of, splits)
    named = {split_named(folder.name) for folder in folders}
    if folders and ({folder.name.lower() for folder in folders} <= set(SPLITS) or (len(named) > 1 and all(named))):
        raise DataError(
            f"{printable(path)}: {_names(folders)} are the names of splits, but no folder of a label is in them: put "
            "the images into a folder for each label, such as train/roses/1.jpg, or rename the folders"
        )
    if not any(any(images_in(folder)) for folder in folders) and any(loose_images(path)):
        return _of_prefixes(path)
    if any(holds_splits(folder) for folder in folders):
        return _of_labels_with_splits(path, folders)
    return _of_labels(path, folders)


def _of_labels(path: Path, folders: Sequence[Path], split: str = "") -> Layout:
    files = [LabelledFile((folder.name,), file, split) for folder in folders for file in files_in(folder)]
    left_out = (*_beside(path, folders), *nesting_messages(folders))
    return Layout("a folder for each label", tuple(files), left_out)


def _of_labels_with_splits(path: Path, folders: Sequence[Path]) -> Layout:
    split = [folder for folder in folders if holds_splits(folder)]
    if others := [folder for folder in folders if folder not in split and any(files_in(folder))]:
        named = _names(sorted(subfolders(split[0])))
        raise DataError(
            f"{printable(path)}: {_names(split)} has the folders of splits {named} in it, but {_names(others)} has "
            "none, or has images beside them: put all images of each label into such folders, train and at least one "
            "other"
        )
    files = [
        LabelledFile((folder.name,), file, split)
        for folder in folders
        for inner, split in splits_in(folder).items()
        for file in files_in(inner)
    ]
    return Layout("a folder for each label, with folders of splits in each", tuple(files), _beside(path, folders))


def _of_splits(path: Path, split_of: Mapping[Path, str], splits: Sequence[Path]) -> Layout:
    others = [folder for folder in split_of if folder not in splits]
    if unsorted := [folder for folder in others if split_of[folder]]:
        raise DataError(
            f"{printable(path)}: {_names(splits)} has folders of labels in it, but {_names(unsorted)} has none with "
            "images, or has images beside them: put its images into a folder for each label, such as test/roses/1.jpg, "
            "or move it away"
        )
    if others:
        raise DataError(
            f"{printable(path)}: {_names(splits)} looks like a split with labels in it, {_names(others)} like a label "
            "beside it: keep only splits, or only labels, in this folder"
        )
    named = [split_of[folder] for folder in splits]
    if len(set(named)) < len(named):
        raise DataError(f"{printable(path)}: {_names(splits)} name one split twice: put their images together")
    if TRAIN not in named:
        raise DataError(f"{printable(path)}: {_names(splits)} and no folder train to learn from: add one")
    found = zip(map(_unpacked, splits), named, strict=True)
    parts = [_of_labels(folder, sorted(subfolders(folder)), split) for folder, split in found]
    left_out = [message for part in parts for message in part.left_out]
    kind = f"splits ({', '.join(folder.name for folder in splits)}), in each a folder for each label"
    return Layout(kind, tuple(file for part in parts for file in part.files), (*left_out, *_beside(path, ())))


def _unpacked(folder: Path) -> Path:
    """Return the one folder in a folder, where it has the same name, as in some archives; otherwise the folder."""
    inner = [*subfolders(folder)]
    return inner[0] if [one.name for one in inner] == [folder.name] and holds_folders(inner[0]) else folder


def _of_prefixes(path: Path) -> Layout:
    images = sorted(loose_images(path))
    found = {file: prefix_of(file.stem) for file in images}
    files = tuple(LabelledFile((label,), file) for file, label in found.items() if label)
    without = [file for file, label in found.items() if not label]
    if len({file.labels for file in files}) < 2:
        raise DataError(
            f"{printable(path)}: {len(images)} images lie in no folder, and their names, such as "
            f"{printable(images[0].name)}, begin with fewer than 2 labels; {ADVICE}{_first_of(foreign_tables(path))}"
        )
    left_out = (*counted(without, "no label before a number"), *link_messages(path, ()))
    return Layout("labels as the beginnings of file names", files, left_out)


def _of_table(path: Path, table: Path, multi_label: bool) -> Layout:
    rows = read_table(table, multi_label)
    files = tuple(LabelledFile(row.labels, file, _split_of(table, file, row.split)) for file, row in rows.items())
    unnamed = [file for file in images_in(path) if file not in rows] if path.is_dir() else []
    kind = f"the table {table.name}{', which names splits' if any(file.split for file in files) else ''}"
    return Layout(kind, files, counted(unnamed, f"not in {table.name}"))


def _split_of(table: Path, file: Path, name: str) -> str:
    """Return the split that a table gives a file by this name; "" where it gives none. Raises DataError."""
    split = split_named(name)
    if name and not split:
        raise DataError(
            f"{printable(table)}: {printable(file)} has the split {name!r}; take one of {', '.join(SPLITS)}, or rename "
            "the column split"
        )
    return split


def _beside(path: Path, folders: Iterable[Path]) -> tuple[str, ...]:
    """Return the messages for empty and hidden folders, loose images beside those of labels, and links not followed."""
    empty = [folder for folder in folders if not any(files_in(folder))]
    return (
        *(f"{printable(folder)}: an empty folder, which gives no label" for folder in empty),
        *counted(sorted(hidden_labels(path)), "hidden by a dot, so no label; rename it if it is one", "folder"),
        *counted(sorted(loose_images(path)), "no label, since beside the folders of labels"),
        *link_messages(path, folders),
    )


def _first_of(messages: Sequence[str]) -> str:
    """Return the end of a refusal: the first message on what was left out, where there is one."""
    return f" ({messages[0]})" if messages else ""


def _check_labels(path: Path, layout: Layout, is_table: bool) -> None:
    """Raise DataError where there are too few labels, or where one cannot be a label or looks like another."""
    if len(layout.labels) < 2:
        noun, advice = ("labels", TABLE_ADVICE) if is_table else ("folders", _folder_advice(path))
        raise DataError(
            f"{printable(path)}: {len(layout.labels)} {noun} in it, at least 2 are needed; {advice}"
            f"{_first_of(layout.left_out)}"
        )
    alike = defaultdict(list)
    for label in layout.labels:
        bare = label.translate(JOINERS)
        if not (_is_label(bare.strip()) and _is_label(label) and bare.isprintable()):
            raise DataError(
                f"{printable(path)}: the name {label!r} cannot be a label; rename it, in at most {MAX_LABEL_CHARS} "
                "characters, without colons, line breaks and other unprintable characters"
            )
        alike[unicodedata.normalize("NFC", bare).strip().lower()].append(label)
    if doubled := next((names for names in alike.values() if len(names) > 1), None):
        raise DataError(
            f"{printable(path)}: the labels {_told_apart(doubled)} differ only in spaces, capitals or the encoding of "
            "a letter: give them one name, or clearly different ones"
        )


def _folder_advice(path: Path) -> str:
    alone = [printable(folder) for folder in subfolders(path) if holds_folders(folder)]
    return f"where the folders of labels are in it, name {alone[0]}" if len(alone) == 1 else ADVICE


def _check_splits(path: Path, layout: Layout) -> None:
    """Raise DataError where a split has a label that no training image has."""
    found = {(label, file.split) for file in layout.files for label in file.labels}
    learned = {label for label, split in found if split in ("", TRAIN)}
    if unknown := sorted((label, split) for label, split in found if label not in learned):
        label, split = unknown[0]
        raise DataError(
            f"{printable(path)}: the label {label!r} is only in {split}, so it cannot be learned: add images of it to "
            "train, or leave out the label"
        )


def _is_label(text: str) -> bool:
    try:
        msgspec.convert(text, Label)
    except msgspec.ValidationError:
        return False
    return True


def _names(folders: Iterable[Path]) -> str:
    return " and ".join(printable(folder.name) for folder in folders)


def _told_apart(names: Sequence[str]) -> str:
    """Return names that look alike, by the codes of their letters where only these tell them apart."""
    alike = len({unicodedata.normalize("NFC", name) for name in names}) < len(names)
    return " and ".join(map(ascii if alike else repr, names))
