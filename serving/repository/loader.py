"""Load classifiers from files: which versions of a model to load, and the outcome."""

import errno
import os
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from serving.model.card import MODEL_FILE, ContractError, ModelCard
from serving.model.classifier import Classifier
from serving.repository.index import Model, Version
from serving.repository.scan import FileSignatures
from serving.repository.shadow_rules import ShadowRule
from serving.repository.trust import Trust

MISSING = (errno.ENOENT,)  # the signature of a file that is no longer there


@dataclass(frozen=True)
class LoadEvent:
    """A file was opened: digest if it was loaded, reason if it was refused."""

    name: str
    version: str
    digest: str | None = None
    reason: str | None = None


def check_place(path: Path, card: ModelCard) -> None:
    """Raise ContractError when a file is not in the folder of its card's name and version."""
    if (card.name, card.version) != (path.parent.parent.name, path.parent.name):
        raise ContractError(
            f"{path}: its card says {card.name!r} version {card.version}; put it in that folder, "
            "or export it again under this name"
        )


class Loader:
    """Opens the files of a model folder."""

    def __init__(self, folder: Path, threads: int, shadow_rules: Collection[ShadowRule], trust: Trust) -> None:
        """threads: of onnxruntime, for each file. trust: which files are served."""
        self._folder = folder
        self._threads = threads
        self._trust = trust
        self._shadows = {(rule.shadow, rule.version) for rule in shadow_rules}
        self._own_shadows = {(rule.shadow, rule.version) for rule in shadow_rules if rule.shadow == rule.model}
        self._events: list[LoadEvent] = []

    def load_model(self, known: Model, signatures: FileSignatures, retry: bool = False) -> Model:
        """Return a model's new state with these files: the highest sound version answers, shadows are loaded.

        retry: open refused files once more.
        """
        name = known.name
        files = {number: self._refresh(known, number, signatures, retry) for number in signatures}
        for number, version in files.items():
            if (name, number) in self._shadows:
                files[number] = self.load_version(name, version)
        answering = self._choose_answering(name, files)
        if answering:
            self._trust.note_answering(name, answering.card.version)
        kept = {number: self._drop_unneeded(name, version, answering) for number, version in files.items()}
        return Model(name, signatures, kept, answering, self._fault(name, files, answering))

    def load_version(self, name: str, version: Version) -> Version:
        """Return a version with its classifier, or with the reason why it has none."""
        return self._open(name, version) if version.state == "idle" else version

    def drain_events(self) -> list[LoadEvent]:
        """Return the events since the last call."""
        events, self._events = self._events, []
        return events

    def _choose_answering(self, name: str, files: dict[str, Version]) -> Classifier | None:
        """Load from the highest version down until one is sound; skip a version that is its own model's shadow."""
        lowest = self._trust.lowest(name)
        for number in reversed(files):
            if int(number) >= lowest and (name, number) not in self._own_shadows:
                files[number] = self.load_version(name, files[number])
                if classifier := files[number].classifier:
                    return classifier
        return None

    def _drop_unneeded(self, name: str, version: Version, answering: Classifier | None) -> Version:
        """Return a version without its classifier, to free its memory, unless something needs that."""
        needed = version.classifier is answering or version.requested or (name, version.number) in self._shadows
        return version if needed else replace(version, classifier=None)

    def _refresh(self, known: Model, number: str, signatures: FileSignatures, retry: bool) -> Version:
        """Return a version as it was or, where its file has been replaced, loaded anew."""
        version = known.files.get(number, Version(number))
        if known.signatures.get(number) == signatures[number] and not (retry and version.reason):
            return version
        if version.classifier is None or signatures[number] == MISSING:
            return Version(number, requested=version.requested)
        return self._open(known.name, version)

    def _open(self, name: str, version: Version) -> Version:
        """Open a version's file; where it is refused, keep the classifier of the file before."""
        try:
            classifier = self._classifier(name, version)
        except ContractError as error:
            self._events.append(LoadEvent(name, version.number, reason=str(error)))
            return replace(version, reason=str(error))
        if classifier is not version.classifier:
            self._events.append(LoadEvent(name, version.number, digest=classifier.digest))
        return replace(version, classifier=classifier, reason=None)

    def _classifier(self, name: str, version: Version) -> Classifier:
        path = self._folder / name / version.number / MODEL_FILE
        fault = partial(self._trust.fault, name, version.number, path)
        trial = self._trust.trials.fault if self._trust.trials else None
        classifier = Classifier.open(path, self._threads, version.classifier, fault, trial)
        check_place(path, classifier.card)
        return classifier

    def _fault(self, name: str, files: dict[str, Version], answering: Classifier | None) -> str | None:
        """Return why a model without a refused version has no answering one."""
        folder = self._folder / name
        if not files and os.path.isfile(folder / MODEL_FILE):  # noqa: PTH113  # Path's raises in a folder that may not be entered
            return f"{folder}: it is a version, not a model; serve the folder above: --models {self._folder.parent}"
        if not files:
            return f"{folder}: it has no version, such as {name}/1/{MODEL_FILE}"
        lowest = self._trust.lowest(name)
        if answering is None and min(map(int, files)) < lowest:
            return (
                f"{folder}: version {lowest} was served, and an older one does not answer after it; sign it anew as a "
                "higher version, or restart the service"
            )
        if answering is None and all(version.reason is None for version in files.values()):
            return f"{folder}: its only version is a shadow's"
        return None
