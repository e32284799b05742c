"""Scan the model folder: which files are there, and which of them have been replaced."""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from serving.model.card import MODEL_FILE, NAME, SIGNATURE_SUFFIX, VERSION

FileSignature = tuple[int, ...]  # changes when a file, or its key's signature, is replaced, written to or made readable
FileSignatures = Mapping[str, FileSignature]  # by version, lowest first


@dataclass(frozen=True)
class FolderScan:
    """The result of one scan; no file is read.

    models: the signatures of those whose folder can be read. faults: why another's cannot. invalid_names: messages
    about folders whose name cannot be a model's.
    """

    models: Mapping[str, FileSignatures] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)
    invalid_names: tuple[str, ...] = ()

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Scan a model folder; raises OSError when it cannot be read."""
        models, faults, invalid = {}, {}, []
        for name in sorted(_subfolders(folder)):
            path = folder / name
            if not re.fullmatch(NAME, name):
                invalid.append(
                    f"{str(path)!r}: not a model's name, which has letters, digits, '.', '_' and '-'; rename it"
                )
                continue
            try:
                models[name] = _signatures(path)
            except OSError as error:
                faults[name] = f"{path}: cannot be read: {error.strerror}"
        return cls(models, faults, tuple(invalid))

    @property
    def names(self) -> set[str]:
        """All models, including those whose folders cannot be read."""
        return {*self.models, *self.faults}

    def unchanged_since(self, before: Self, known: Iterable[str]) -> set[str]:
        """Return the models, also of the known ones, that look as they did before: nothing is being copied there."""
        return {name for name in {*known, *self.names} if self.models.get(name) == before.models.get(name)}


def _subfolders(folder: Path) -> Iterator[str]:
    """Yield the names of folders; one that starts with a dot is an export or a change of volumes under way."""
    with os.scandir(folder) as entries:
        yield from (entry.name for entry in entries if not entry.name.startswith(".") and _is_folder(entry))


def _signatures(folder: Path) -> FileSignatures:
    with os.scandir(folder) as entries:
        versions = [entry.name for entry in entries if re.fullmatch(VERSION, entry.name) and _is_folder(entry)]
    return {version: _signature(folder / version / MODEL_FILE) for version in sorted(versions, key=int)}


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether this is a folder, or a link that leads nowhere, as to a volume that is not mounted: opening says so."""
    try:
        return entry.is_dir() or (entry.is_symlink() and not Path(entry).exists())
    except OSError:  # such as links in a circle
        return True


def _signature(path: Path) -> FileSignature:
    """Return a model file's signature; links are followed, since volumes are replaced by changing links."""
    status = _status(path)
    return status + _status(path.with_suffix(SIGNATURE_SUFFIX)) if len(status) > 1 else status


def _status(path: Path) -> FileSignature:
    try:
        status = path.stat()
    except OSError as error:
        return (error.errno or 0,)
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
