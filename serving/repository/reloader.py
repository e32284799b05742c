"""Reload models when the model folder changes."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from serving.repository.index import UNLOADED, Model, Version
from serving.repository.loader import Loader
from serving.repository.scan import FolderScan

Models = Mapping[str, Model]


class Reloader:
    """Scans the folder and loads what is new in it: slow work, of which only one may run at a time."""

    def __init__(self, folder: Path, loader: Loader) -> None:
        self._folder = folder
        self._loader = loader
        self._scan = FolderScan()
        self._fault: str | None = None
        self.unloaded: set[str] = set()

    def load_all(self) -> Models:
        """Return the models as they are now."""
        return self._reload({}, self._rescan().names)

    def poll(self, models: Models) -> Models:
        """Return the models' new state, as far as two scans in a row agree: a file may be half written."""
        before = self._scan
        return self._reload(models, self._rescan().unchanged_since(before, models))

    def force_reload(self, models: Models, names: Collection[str]) -> Models:
        """Return the new state where these models are as they are now, and their refused files are tried once more."""
        self._rescan()
        return self._reload(models, names, retry=True)

    def faults(self) -> list[str]:
        """Return what is wrong with the folder itself."""
        return [self._fault] if self._fault else list(self._scan.invalid_names)

    def _rescan(self) -> FolderScan:
        """Scan the folder; while it cannot be read, return the scan before."""
        try:
            self._scan, self._fault = FolderScan.of(self._folder), None
        except OSError as error:
            self._fault = f"{self._folder}: cannot be read: {error.strerror}"
        return self._scan

    def _reload(self, models: Models, names: Collection[str], retry: bool = False) -> Models:
        reloaded = {}
        for name in sorted({*models, *self._scan.names}):
            model = models.get(name)
            if name in names:
                model = self._reload_model(name, model, retry)
            if model:
                reloaded[name] = model
        return reloaded

    def _reload_model(self, name: str, known: Model | None, retry: bool) -> Model | None:
        """Return a model's new state; None if its folder has gone."""
        fault = self._scan.faults.get(name)
        if fault and not (known and name in self.unloaded):
            return replace(known or Model(name), fault=fault)
        signatures = known.signatures if fault and known else self._scan.models.get(name)
        if signatures is None:
            return None
        if known and known.signatures == signatures and not (known.fault or retry):
            return known
        if name in self.unloaded:
            files = {number: Version(number, reason=UNLOADED) for number in signatures}
            return Model(name, signatures, files, unloaded=True)
        return self._loader.load_model(known or Model(name), signatures, retry)
