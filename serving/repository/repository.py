"""The folder of models as requests meet it, and how that follows what happens to the folder."""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from serving.concurrency import aside
from serving.model.classifier import Classifier
from serving.errors import NoModel, Overloaded, UnknownModel
from serving.repository.index import Catalogue, Choice, Model, Pair, Version
from serving.repository.reloader import Follower
from serving.repository.loader import Loader, Loading
from serving.repository.commands import LOAD, PATIENCE, UNLOAD, Order, Orders
from serving.repository.scan import Shelf
from serving.repository.shadow_rules import Shade

LOADING_SECONDS = 5.0  # that a request waits for its model's turn to be loaded

log = logging.getLogger(__name__)


class Repository:
    """All models of a folder; a version that is not the answering one is loaded when it is first named.

    Requests read one catalogue, which is never changed but replaced; files are opened beside the server's loop.
    """

    def __init__(
        self,
        folder: Path,
        threads: int = 1,
        default_grey: str | None = None,
        default_colour: str | None = None,
        shades: tuple[Shade, ...] = (),
        orders: Orders | None = None,
        heard: Callable[[Loading], None] = lambda _: None,
    ) -> None:
        """Load the highest sound version of each model; what cannot be loaded is logged and reported, not raised.

        orders: what is asked of all workers. heard: is told of each file that was opened.
        """
        self._folder = folder
        self._choice = Choice(default_grey, default_colour, shades)
        self._loader = Loader(folder, threads, shades)
        self._follower = Follower(folder, self._loader)
        self._orders = orders or Orders()
        self._heard = heard
        self._said: set[str] = set()
        self._obeyed: Mapping[str, Order] = {}
        self._changing = threading.Lock()  # the catalogue; and onnxruntime makes one session at a time
        self._catalogue = Catalogue.of({}, self._choice)
        self._new_orders()
        self._publish(self._follower.all())
        self._orders.done(self._obeyed)

    @property
    def models(self) -> Mapping[str, Model]:
        """All models by name."""
        return self._catalogue.models

    @property
    def pairs(self) -> Mapping[Classifier, Pair]:
        """The shadows, by the classifiers that they run beside."""
        return self._catalogue.pairs

    def ready(self) -> list[Classifier]:
        """Return the answering classifier of each model that has one."""
        return self._catalogue.ready()

    def find(self, name: str) -> Model:
        """Return what there is of a model; raises UnknownModel with the names that exist."""
        models = self._catalogue.models
        if name not in models:
            raise UnknownModel(f"There is no model {name!r}; there are: {', '.join(models) or 'none at all'}.")
        return models[name]

    def named(self, name: str, version: str = "") -> Classifier:
        """Return a model's answering version or the one asked for; raises UnknownModel with those there are."""
        model = self.find(name)
        if model.unloaded:
            raise UnknownModel(f"The model {name!r} was unloaded; an operator can load it again.")
        if not version and model.classifier:
            return model.classifier
        if not version:
            raise NoModel(f"The model {name!r} cannot be served: {model.reason}")
        found = _version(model, version)
        if found.state == "idle":
            found = self._asked(name, version)
        if found.classifier is None:
            raise NoModel(f"The model {name!r} cannot be served in version {version}: {found.reason}")
        return found.classifier

    def default(self, grey: bool) -> Classifier:
        """Return the model that answers greyscale or colour images when none is named; raises NoModel."""
        classifier = self._catalogue.grey if grey else self._catalogue.colour
        if classifier is None:
            kind = "greyscale" if grey else "colour"
            raise NoModel(f"No model is loaded that answers {kind} images; the service's log and GET /models say why.")
        return classifier

    def is_default(self, model: Model) -> bool:
        """Whether this model answers greyscale or colour images when none is named."""
        return model.classifier is not None and model.classifier in (self._catalogue.grey, self._catalogue.colour)

    def poll(self) -> None:
        """Look at the folder and take up what has changed in it, once it looks the same twice."""
        with self._changing:
            self._publish(aside(partial(self._follower.polled, self.models)))

    def obey(self) -> None:
        """Do what was asked of all workers since the last time."""
        with self._changing:
            if names := self._new_orders():
                self._publish(aside(partial(self._follower.obeyed, self.models, names)))
                self._orders.done(self._obeyed)

    def load(self, name: str) -> Model:
        """Have all workers load what is in a model's folder now; raises UnknownModel, or NoModel if none answers."""
        model = self._order(name, LOAD)
        self.named(name)
        return model

    def unload(self, name: str) -> Model:
        """Have all workers give up a model, which then answers as if it were unknown; raises UnknownModel."""
        return self._order(name, UNLOAD)

    def _order(self, name: str, what: str) -> Model:
        if name not in self.models and name not in aside(self._names):
            self.find(name)  # raises UnknownModel
        self._orders.give(name, what)
        self.obey()
        if not self._orders.wait(name):
            log.warning("%s %s: not all workers have done it within %g s", what, name, PATIENCE)
        return self.find(name)

    def _asked(self, name: str, number: str) -> Version:
        """Return a version that a client was the first to name, loaded; raises Overloaded while others are."""
        if not self._changing.acquire(timeout=LOADING_SECONDS):
            raise Overloaded(f"The model {name!r} waits for others to be loaded; ask again a little later.")
        try:
            version = replace(_version(self.find(name), number), asked=True)
            version = aside(partial(self._loader.loaded, name, version))
            self._publish({**self.models, name: self.find(name).changed(version)})
        finally:
            self._changing.release()
        return version

    def _new_orders(self) -> set[str]:
        """Return the models of which something new was asked."""
        before, self._obeyed = self._obeyed, self._orders.read()
        self._follower.unloaded = {name for name, order in self._obeyed.items() if order.unload}
        return {name for name, order in self._obeyed.items() if order != before.get(name)}

    def _publish(self, models: Mapping[str, Model]) -> None:
        """Answer from these models; tell what was loaded, who answers now and, once until it is over, what is wrong."""
        before = self.ready()
        if models != self.models:
            self._catalogue = Catalogue.of(models, self._choice)
        for loading in self._loader.taken():
            self._heard(loading)
        faults = self._faults()
        for fault in faults:
            if fault not in self._said:
                log.error("%s", fault)
        self._said = set(faults)
        if self.ready() != before:
            log.info("models ready: %s", ", ".join(f"{c.card.name}:{c.card.version}" for c in self.ready()) or "none")

    def _names(self) -> set[str]:
        """Return the models whose folders are there now."""
        try:
            return Shelf.look(self._folder).names
        except OSError:
            return set()

    def _faults(self) -> list[str]:
        faults = [*self._follower.faults(), *(f"{self._folder}: {fault}" for fault in self._catalogue.faults)]
        if not self.models:
            advice = f"export some with python -m training.export --models-dir {self._folder}"
            faults.append(f"{self._folder}: no models here; {advice}")
        return faults + [reason for model in self.models.values() if not model.unloaded for reason in model.reasons]


def _version(model: Model, number: str) -> Version:
    if number not in model.files:
        there = ", ".join(model.versions) or "none"
        raise UnknownModel(f"The model {model.name!r} has no version {number!r}; there are: {there}.")
    return model.files[number]
