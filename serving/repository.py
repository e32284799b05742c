"""The folder of models: which there are, which versions, and which answers when none is named."""

import logging
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from serving.classifier import Classifier
from serving.contract import ContractError
from serving.errors import NoModel, NotAllowed, UnknownModel

VERSION = re.compile(r"[1-9][0-9]{0,8}")  # Triton passes over other folders too

# Whose models answer when a request names none; of several, the most accurate.
GREY_DATASET = "Fashion-MNIST"
COLOUR_DATASET = "CIFAR-10"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Model:
    """A model folder: its versions, lowest first, the one that answers, and why a higher one doesn't."""

    name: str
    versions: tuple[str, ...]
    classifier: Classifier | None
    reason: str | None


class Repository:
    """All models of a folder; a version that is not the answering one is loaded when it is first named."""

    def __init__(
        self, folder: Path, threads: int = 1, default_grey: str | None = None, default_colour: str | None = None
    ) -> None:
        """Load the highest sound version of each model; what cannot be loaded is logged and reported, not raised."""
        self._folder = folder
        self._threads = threads
        self._defaults = {True: default_grey, False: default_colour}
        self._loaded: dict[tuple[str, str], Classifier | str] = {}
        self._loading = threading.Lock()  # onnxruntime makes one session at a time
        self.models = {path.name: self._model(path) for path in _folders(folder)}
        if not self.models:
            log.error("%s: no models here; export some with python -m training.export --models-dir %s", folder, folder)
        log.info("models ready: %s", ", ".join(f"{c.card.name}:{c.card.version}" for c in self.ready()) or "none")
        for chosen in self._defaults.values():
            if chosen and chosen not in self.models:
                log.error("%s: no model %r here, which is set as a default", folder, chosen)

    def ready(self) -> list[Classifier]:
        """Return the answering classifier of each model that has one."""
        return [model.classifier for model in self.models.values() if model.classifier]

    def find(self, name: str) -> Model:
        """Return what there is of a model; raises UnknownModel with the names that exist."""
        if name not in self.models:
            raise UnknownModel(f"There is no model {name!r}; there are: {', '.join(self.models) or 'none at all'}.")
        return self.models[name]

    def named(self, name: str, version: str = "") -> Classifier:
        """Return a model's answering version or the one asked for; raises UnknownModel with those there are."""
        model = self.find(name)
        if not version and model.classifier:
            return model.classifier
        if not version:
            raise NoModel(f"The model {name!r} cannot be served: {model.reason}")
        if version not in model.versions:
            raise UnknownModel(
                f"The model {name!r} has no version {version!r}; there are: {', '.join(model.versions) or 'none'}."
            )
        try:
            return self._load(name, version)
        except ContractError as error:
            raise NoModel(f"The model {name!r} cannot be served in version {version}: {error}") from error

    def default(self, grey: bool) -> Classifier:
        """Return the model that answers greyscale or colour images when none is named; raises NoModel."""
        classifier = self._default(grey)
        if classifier is None:
            kind = "greyscale" if grey else "colour"
            raise NoModel(f"No model is loaded that answers {kind} images; the service's log and GET /models say why.")
        return classifier

    def is_default(self, model: Model) -> bool:
        """Whether this model answers greyscale or colour images when none is named."""
        return model.classifier is not None and model.classifier in (self._default(True), self._default(False))

    def load(self, name: str) -> None:
        """Load what is in a model's folder now. Raises Refusal."""
        self.find(name)
        raise NotAllowed("The folder of models is read when the service starts; start it again.")

    def unload(self, name: str) -> None:
        """Let a model answer no more. Raises Refusal."""
        self.find(name)
        raise NotAllowed("Models are given up when the service ends; take the folder away and start it again.")

    def _default(self, grey: bool) -> Classifier | None:
        if chosen := self._defaults[grey]:
            return self.models[chosen].classifier if chosen in self.models else None
        dataset = GREY_DATASET if grey else COLOUR_DATASET

        def rank(classifier: Classifier) -> tuple[bool, bool, float]:
            card = classifier.card
            return (classifier.channels == 1) == grey, card.dataset == dataset, card.metrics.accuracy

        return max(self.ready(), key=rank, default=None)

    def _model(self, folder: Path) -> Model:
        versions, reasons = _versions(folder)
        classifier = None
        for version in reversed(versions):
            try:
                classifier = self._load(folder.name, version)
                break
            except ContractError as error:
                reasons.append(str(error))
        for reason in reasons:
            log.error("%s", reason)
        return Model(folder.name, versions, classifier, "; ".join(reasons) or None)

    def _load(self, name: str, version: str) -> Classifier:
        """Return a version, loaded the first time it is asked for; one that cannot be loaded is not tried again."""
        key = (name, version)
        if key not in self._loaded:
            with self._loading:
                if key not in self._loaded:  # another thread may have been faster
                    self._loaded[key] = self._open(name, version)
        loaded = self._loaded[key]
        if isinstance(loaded, str):
            raise ContractError(loaded)
        return loaded

    def _open(self, name: str, version: str) -> Classifier | str:
        """Return the classifier of a version, or the reason why there is none."""
        path = self._folder / name / version / "model.onnx"
        try:
            classifier = Classifier.open(path, self._threads)
        except ContractError as error:
            return str(error)
        card = classifier.card
        if (card.name, card.version) == (name, version):
            return classifier
        return (
            f"{path}: its card says {card.name!r} version {card.version}; put it in that folder, "
            f"or export it again under this name"
        )


def _versions(folder: Path) -> tuple[tuple[str, ...], list[str]]:
    """Return the versions in a model's folder, lowest first, and what is wrong with it."""
    try:
        versions = tuple(sorted((path.name for path in folder.iterdir() if _is_version(path)), key=int))
    except OSError as error:
        return (), [f"{folder}: cannot be read: {error.strerror}"]
    return versions, [] if versions else [f"{folder}: no version in it, such as {folder.name}/1/model.onnx"]


def _is_version(path: Path) -> bool:
    return VERSION.fullmatch(path.name) is not None and path.is_dir()


def _folders(folder: Path) -> Iterator[Path]:
    """Yield the model folders by name; a name that starts with a dot is an export under way."""
    try:
        yield from sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        log.error("%s: cannot be read: %s", folder, error.strerror)
