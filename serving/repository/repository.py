"""The models of a folder: requests read them here, and they follow what happens to the folder."""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from serving.concurrency import run_in_thread
from serving.errors import NoModel, Overloaded, UnknownModel
from serving.model.classifier import Classifier
from serving.repository.commands import LOAD, UNLOAD, Command, WorkerCommands
from serving.repository.golden_check import GoldenCheck
from serving.repository.index import Defaults, Model, ModelIndex, Routing, ShadowPair, Version, is_router
from serving.repository.loader import Loader, LoadEvent
from serving.repository.reloader import Reloader
from serving.repository.scan import FolderScan
from serving.repository.trust import Trust

LOAD_TIMEOUT = 5.0  # seconds that a request waits for its model's turn to be loaded

log = logging.getLogger(__name__)


class Repository:
    """All models of a folder; a version that is not the answering one is loaded when a client first names it.

    Requests read one index, which is never changed but replaced; files are opened beside the event loop.
    """

    def __init__(
        self,
        folder: Path,
        threads: int = 1,
        routing: Routing | None = None,
        commands: WorkerCommands | None = None,
        on_load: Callable[[LoadEvent], None] = lambda _: None,
        load_timeout: float = LOAD_TIMEOUT,
        trust: Trust | None = None,
    ) -> None:
        """Load the highest sound version of each model; a file that cannot be loaded is logged and reported.

        threads: of onnxruntime, for each model. commands: those published to all workers. on_load: is called for each
        file that was opened. load_timeout: seconds that a request waits for its model's turn to be loaded.
        trust: which files are served; without it, all that keep the contract.
        """
        self._folder = folder
        self._routing = routing or Routing()
        self._loader = Loader(folder, threads, self._routing.shadow_rules, trust or Trust())
        self._reloader = Reloader(folder, self._loader)
        self._commands = commands or WorkerCommands()
        self._on_load = on_load
        self._load_timeout = load_timeout
        self._golden = GoldenCheck()
        self._logged: set[str] = set()
        self._seen_commands: Mapping[str, Command] = {}
        self._lock = threading.Lock()  # of the index; and onnxruntime makes one session at a time
        self._index = ModelIndex.of({}, self._routing)
        self._read_commands()
        self._publish(self._reloader.load_all())
        self._commands.acknowledge(self._seen_commands)

    @property
    def models(self) -> Mapping[str, Model]:
        """All models by name."""
        return self._index.models

    @property
    def pairs(self) -> Mapping[Classifier, ShadowPair]:
        """The shadows, by the classifiers that they are compared with."""
        return self._index.pairs

    def ready(self) -> list[Classifier]:
        """Return the answering classifier of each model that has one."""
        return self._index.ready()

    def check_ready(self) -> list[Classifier]:
        """Return the answering classifiers, which have just reproduced their golden samples; raises NoModel."""
        ready = self.ready()
        if all(is_router(classifier) for classifier in ready):  # which answers only clients that name it
            what = "No model but the router" if ready else "No model"
            raise NoModel(f"{what} is loaded; the service's log and GET /models say why.")
        self._golden.check(ready)
        return ready

    def find(self, name: str) -> Model:
        """Return a model, whatever its state; raises UnknownModel with the names that exist."""
        models = self._index.models
        if name not in models:
            raise UnknownModel(f"There is no model {name[:120]!r}. Models: {', '.join(models) or 'none'}.")
        return models[name]

    def named(self, name: str, version: str = "") -> Classifier:
        """Return a model's answering version or the one named.

        Raises UnknownModel with those that exist, NoModel, and Overloaded while others are being loaded.
        """
        model = self.find(name)
        if model.unloaded:
            raise UnknownModel(f"The model {name!r} was unloaded; an operator can load it again.")
        if not version and model.classifier:
            return model.classifier
        if not version:
            raise NoModel(f"The model {name!r} cannot be served: {model.reason}")
        found = model.version(version)
        if found.state == "idle":
            found = self._load_version(name, version)
        if found.classifier is None:
            raise NoModel(f"The model {name!r} cannot be served in version {version}: {found.reason}")
        return found.classifier

    @property
    def defaults(self) -> Defaults:
        """The default models as they are now, and the router between them."""
        return self._index.defaults

    def default(self, grey: bool) -> Classifier:
        """Return the default model for greyscale or colour images, where there is no router; raises NoModel."""
        classifier = (self.defaults.garments if grey else self.defaults.things).classifier
        if classifier is None:
            kind = "greyscale" if grey else "colour"
            raise NoModel(f"No model for {kind} images is loaded; the service's log and GET /models say why.")
        return classifier

    def default_reasons(self, model: Model) -> list[str]:
        """Return why this model is a default model; empty where it is none."""
        return self._index.defaults.reasons(model.classifier) if model.classifier else []

    def poll(self) -> None:
        """Scan the folder and take up its changes, once two scans in a row agree."""
        with self._lock:
            self._publish(run_in_thread(partial(self._reloader.poll, self.models)))

    def run_commands(self) -> None:
        """Carry out the commands to all workers that are new."""
        with self._lock:
            if names := self._read_commands():
                self._publish(run_in_thread(partial(self._reloader.force_reload, self.models, names)))
                self._commands.acknowledge(self._seen_commands)

    def load(self, name: str) -> Model:
        """Have all workers load a model's folder as it is now; raises UnknownModel.

        Raises NoModel if no version answers, or another than the folder's highest or an older file of it.
        """
        model = self._command(name, LOAD)
        answering = self.named(name).card.version
        if model.newer_reasons:
            raise NoModel(f"The model {name!r} still answers in version {answering}: {'; '.join(model.newer_reasons)}")
        return model

    def unload(self, name: str) -> Model:
        """Have all workers unload a model, which then answers as if it were unknown; raises UnknownModel."""
        return self._command(name, UNLOAD)

    def _command(self, name: str, action: str) -> Model:
        if name not in self.models and name not in run_in_thread(self._names):
            self.find(name)  # raises UnknownModel
        self._commands.publish(name, action)
        self.run_commands()
        if not self._commands.wait(name):
            log.warning(
                "%s %s: some workers have not finished within %g s; they will when their models are loaded",
                action,
                name,
                self._commands.ack_timeout,
            )
        return self.find(name)

    def _load_version(self, name: str, number: str) -> Version:
        """Load a version that a client is the first to name; raises Overloaded while others are being loaded."""
        if not self._lock.acquire(timeout=self._load_timeout):
            raise Overloaded(f"The model {name!r} waits while others are loaded; ask again a little later.")
        try:
            version = replace(self.find(name).version(number), requested=True)
            version = run_in_thread(partial(self._loader.load_version, name, version))
            self._publish({**self.models, name: self.find(name).with_version(version)})
        finally:
            self._lock.release()
        return version

    def _read_commands(self) -> set[str]:
        """Return the models that have a new command."""
        before, self._seen_commands = self._seen_commands, self._commands.read()
        self._reloader.unloaded = {name for name, command in self._seen_commands.items() if command.action == UNLOAD}
        return {name for name, command in self._seen_commands.items() if command != before.get(name)}

    def _publish(self, models: Mapping[str, Model]) -> None:
        """Answer from these models; report loads, and log changes and, once while it lasts, each fault."""
        before = self.ready()
        if models != self.models:
            self._index = ModelIndex.of(models, self._routing)
        for event in self._loader.drain_events():
            self._on_load(event)
        faults = self._faults()
        for fault in faults:
            if fault not in self._logged:
                log.error("%s", fault)
        self._logged = set(faults)
        if self.ready() != before:
            log.info("models ready: %s", ", ".join(ready.full_name for ready in self.ready()) or "none")

    def _names(self) -> set[str]:
        """Return the models whose folders are there now."""
        try:
            return FolderScan.of(self._folder).names
        except OSError:
            return set()

    def _faults(self) -> list[str]:
        faults = [*self._reloader.faults(), *(f"{self._folder}: {fault}" for fault in self._index.faults)]
        if not self.models:
            advice = f"export some with python -m training.export --models-dir {self._folder}"
            faults.append(f"{self._folder}: it has no models; {advice}")
        return faults + [reason for model in self.models.values() if not model.unloaded for reason in model.reasons]
