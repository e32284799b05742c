"""What happens to the folder of models while the service runs, and what becomes of the models by it."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from serving.repository.index import UNLOADED, Model, Version
from serving.repository.loader import Loader
from serving.repository.scan import Shelf

Models = Mapping[str, Model]


class Follower:
    """Looks at the folder and loads what is new in it: long work, of which only one may be under way."""

    def __init__(self, folder: Path, loader: Loader) -> None:
        self._folder = folder
        self._loader = loader
        self._seen = Shelf()
        self._fault: str | None = None
        self.unloaded: set[str] = set()

    def all(self) -> Models:
        """Return the models as they are found now."""
        return self._followed({}, self._look().names)

    def polled(self, models: Models) -> Models:
        """Return what the models have become, as far as two looks in a row agree: a file may be half written."""
        before = self._seen
        return self._followed(models, self._look().settled(before, models))

    def obeyed(self, models: Models, names: Collection[str]) -> Models:
        """Return the models where these are as they are found now; what was refused of them is tried once more."""
        self._look()
        return self._followed(models, names, again=True)

    def faults(self) -> list[str]:
        """Return what is wrong with the folder itself."""
        return [self._fault] if self._fault else list(self._seen.strangers)

    def _look(self) -> Shelf:
        """Return what is in the folder, or what was there while it cannot be read."""
        try:
            self._seen, self._fault = Shelf.look(self._folder), None
        except OSError as error:
            self._fault = f"{self._folder}: cannot be read: {error.strerror}"
        return self._seen

    def _followed(self, models: Models, names: Collection[str], again: bool = False) -> Models:
        followed = {}
        for name in sorted({*models, *self._seen.names}):
            model = models.get(name)
            if name in names:
                model = self._model(name, model, again)
            if model:
                followed[name] = model
        return followed

    def _model(self, name: str, known: Model | None, again: bool) -> Model | None:
        """Return what has become of a model; None if it is there no more."""
        fault = self._seen.faults.get(name)
        if fault and not (known and name in self.unloaded):
            return replace(known or Model(name), fault=fault)
        stamps = known.stamps if fault and known else self._seen.models.get(name)
        if stamps is None:
            return None
        if known and known.stamps == stamps and not (known.fault or again):
            return known
        if name in self.unloaded:
            files = {number: Version(number, reason=UNLOADED) for number in stamps}
            return Model(name, stamps, files, unloaded=True)
        return self._loader.model(known or Model(name), stamps, again)
