"""The folder of models as it lies on the disk: which files there are, and what tells that one was replaced."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from serving.model.card import NAME, VERSION

FILE = "model.onnx"

Stamp = tuple[int, ...]  # of a file; another one once it is replaced, written to or made readable
Stamps = Mapping[str, Stamp]  # by version, lowest first


@dataclass(frozen=True)
class Shelf:
    """What one look at the folder showed, no file being read.

    models: the stamps of those whose folder can be read. faults: why another one's cannot. strangers: what is wrong
    with folders that are no model's.
    """

    models: Mapping[str, Stamps] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)
    strangers: tuple[str, ...] = ()

    @classmethod
    def look(cls, folder: Path) -> Self:
        """Look at a folder of models; raises OSError when that cannot be done."""
        models, faults, strangers = {}, {}, []
        for name in sorted(_folders(folder)):
            path = folder / name
            if not re.fullmatch(NAME, name):
                strangers.append(f"{str(path)!r}: no model's name, which is of letters, digits, '.', '_' and '-'")
                continue
            try:
                models[name] = _stamps(path)
            except OSError as error:
                faults[name] = f"{path}: cannot be read: {error.strerror}"
        return cls(models, faults, tuple(strangers))

    @property
    def names(self) -> set[str]:
        """Of all models' folders, those that cannot be read among them."""
        return {*self.models, *self.faults}

    def settled(self, before: Self, known: Iterable[str]) -> set[str]:
        """Return the models, and those of the known ones, that look as they did before: no copying is under way."""
        return {name for name in {*known, *self.names} if self.models.get(name) == before.models.get(name)}


def _folders(folder: Path) -> Iterator[str]:
    """Yield the names of folders; one that starts with a dot is an export or a change of volumes under way."""
    with os.scandir(folder) as entries:
        yield from (entry.name for entry in entries if not entry.name.startswith(".") and _is_folder(entry))


def _stamps(folder: Path) -> Stamps:
    with os.scandir(folder) as entries:
        versions = [entry.name for entry in entries if re.fullmatch(VERSION, entry.name) and _is_folder(entry)]
    return {version: _stamp(folder / version / FILE) for version in sorted(versions, key=int)}


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # such as links in a circle: to be reported by whoever opens it
        return True


def _stamp(path: Path) -> Stamp:
    """Return what tells a file from the one before; links are followed, since volumes are changed by changing links."""
    try:
        status = path.stat()
    except OSError as error:
        return (error.errno or 0,)
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
