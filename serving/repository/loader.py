"""From files to classifiers: which versions of a model are to be loaded, and what comes of it."""

import errno
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from serving.model.classifier import Classifier
from serving.model.card import ContractError
from serving.repository.index import Model, Version
from serving.repository.scan import FILE, Stamps
from serving.repository.shadow_rules import Shade

GONE = (errno.ENOENT,)  # the stamp of a file that is no longer there


@dataclass(frozen=True)
class Loading:
    """That a file was opened, and what came of it: a digest, or the reason why it was refused."""

    name: str
    version: str
    digest: str | None = None
    reason: str | None = None


class Loader:
    """Opens the files of a folder of models."""

    def __init__(self, folder: Path, threads: int, shades: Collection[Shade]) -> None:
        self._folder = folder
        self._threads = threads
        self._shadows = {(shade.shadow, shade.version) for shade in shades}
        self._silent = {(shade.shadow, shade.version) for shade in shades if shade.shadow == shade.model}
        self._loadings: list[Loading] = []

    def model(self, known: Model, stamps: Stamps, again: bool = False) -> Model:
        """Return what becomes of a model with these files: the highest sound version answers, shadows are loaded.

        again: what was refused is tried once more.
        """
        name = known.name
        files = {number: self._followed(known, number, stamps, again) for number in stamps}
        for number, version in files.items():
            if (name, number) in self._shadows:
                files[number] = self.loaded(name, version)
        answering = self._answering(name, files)
        needed = {number: self._needed(name, version, answering) for number, version in files.items()}
        return Model(name, stamps, needed, answering, self._fault(name, files, answering))

    def taken(self) -> list[Loading]:
        """Return what was opened since this was last asked."""
        loadings, self._loadings = self._loadings, []
        return loadings

    def loaded(self, name: str, version: Version) -> Version:
        """Return a version with its classifier, or with the reason why there is none."""
        return self._opened(name, version) if version.state == "idle" else version

    def _answering(self, name: str, files: dict[str, Version]) -> Classifier | None:
        """Load from the highest version down until one is sound; what is only its model's shadow is passed over."""
        for number in reversed(files):
            if (name, number) not in self._silent:
                files[number] = self.loaded(name, files[number])
                if classifier := files[number].classifier:
                    return classifier
        return None

    def _needed(self, name: str, version: Version, answering: Classifier | None) -> Version:
        """Return a version without its classifier if nobody needs that, so that its memory is given back."""
        needed = version.classifier is answering or version.asked or (name, version.number) in self._shadows
        return version if needed else replace(version, classifier=None)

    def _followed(self, known: Model, number: str, stamps: Stamps, again: bool) -> Version:
        """Return a version as it was or, where its file is another one, anew."""
        version = known.files.get(number, Version(number))
        if known.stamps.get(number) == stamps[number] and not (again and version.reason):
            return version
        if version.classifier is None or stamps[number] == GONE:
            return Version(number, asked=version.asked)
        return self._opened(known.name, version)

    def _opened(self, name: str, version: Version) -> Version:
        """Return what becomes of a version by opening its file; a refused one leaves the classifier that there was."""
        try:
            classifier = self._classifier(name, version)
        except ContractError as error:
            self._loadings.append(Loading(name, version.number, reason=str(error)))
            return replace(version, reason=str(error))
        if classifier is not version.classifier:
            self._loadings.append(Loading(name, version.number, digest=classifier.digest))
        return replace(version, classifier=classifier, reason=None)

    def _classifier(self, name: str, version: Version) -> Classifier:
        path = self._folder / name / version.number / FILE
        classifier = Classifier.open(path, self._threads, version.classifier)
        card = classifier.card
        if (card.name, card.version) != (name, version.number):
            raise ContractError(
                f"{path}: its card says {card.name!r} version {card.version}; put it in that folder, "
                "or export it again under this name"
            )
        return classifier

    def _fault(self, name: str, files: dict[str, Version], answering: Classifier | None) -> str | None:
        """Return why a model without a refused version has none that answers."""
        folder = self._folder / name
        if not files:
            return f"{folder}: no version in it, such as {name}/1/{FILE}"
        if answering is None and all(version.reason is None for version in files.values()):
            return f"{folder}: no version in it but a shadow's"
        return None
