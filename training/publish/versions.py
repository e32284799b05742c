"""The versions of a model: which answers, which are kept beside it, and how they change places."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
import onnx

from serving.model.card import MODEL_FILE
from serving.model.classifier import Classifier
from training.graph.onnx_export import with_metadata
from training.publish.model_folder import DRAFT, README_FILE, WITHDRAWN, ModelFolder, describe
from training.train.interrupt import without_interruption

State = Literal["answers", "older", "withdrawn", "draft"]

README = """\
# {name}: {title}

Version {version} answers again, since later ones were withdrawn. It has {accuracy:.2%} of {n:,} test images right; its
own README was not kept, its card has all figures.
"""


class VersionError(Exception):
    """There is no such version, or it cannot answer; the message says what to do."""


class Version(NamedTuple):
    """A version: its folder, and whether and how it answers."""

    folder: Path
    state: State

    @property
    def name(self) -> str:
        """Its name in commands: its number, or draft."""
        return self.state if self.state == "draft" else self.folder.name

    @property
    def file(self) -> Path:
        """The model file."""
        return self.folder / MODEL_FILE


@dataclass(frozen=True)
class Versions:
    """The versions of one model."""

    folder: ModelFolder

    def all(self) -> list[Version]:
        """Return all versions, the one that answers first. Raises VersionError when there are none."""
        published, draft = self.folder.versions()[::-1], self.folder.kept_draft()
        found = [Version(path, "older" if number else "answers") for number, path in enumerate(published)]
        found += [Version(path, "withdrawn") for path in self.folder.withdrawn()]
        found += [Version(draft, "draft")] if draft else []
        if not found:
            raise VersionError(f"{self.folder.path}: no versions there; name a model's folder, and its --models-dir")
        return found

    def promote(self) -> Path:
        """Publish the draft as the next version; returns its folder. Raises VersionError and ContractError."""
        draft = self.folder.kept_draft()
        if not draft:
            raise VersionError(f"{self.folder.path / DRAFT}: no draft there to promote")
        Classifier.open(draft / MODEL_FILE)  # it must be one that the service takes
        version = self.folder.next_version()
        if draft.name != version:
            draft = _renumbered(draft, version)
        with without_interruption():
            published = self.folder.publish(draft.parent, version)
            draft.parent.rmdir()
        return published

    def roll_back(self) -> tuple[Path, Path]:
        """Withdraw the version that answers, so that the one before it does.

        Returns the folder of the version that answers now, and that of the withdrawn one.
        Raises VersionError where there is none before it, and ContractError where the service would refuse it.
        """
        versions = self.folder.versions()
        if len(versions) < 2:
            raise VersionError(f"{self.folder.path}: no version before the one that answers: nothing to roll back to")
        *_, before, newest = versions
        classifier = Classifier.open(before / MODEL_FILE)
        withdrawn = self.folder.path / WITHDRAWN / newest.name
        withdrawn.parent.mkdir(exist_ok=True)
        with without_interruption():
            newest.rename(withdrawn)
            if (readme := self.folder.path / README_FILE).exists():
                readme.replace(withdrawn / README_FILE)
            self._describe(before, classifier)
        return before, withdrawn

    def restore(self, version: str) -> Path:
        """Have a withdrawn version answer again; returns its folder. Raises VersionError and ContractError."""
        withdrawn, versions = self.folder.path / WITHDRAWN / version, self.folder.versions()
        if withdrawn not in self.folder.withdrawn():
            known = ", ".join(path.name for path in self.folder.withdrawn()) or "none"
            raise VersionError(f"{version} is not a withdrawn version of {self.folder.name}; withdrawn: {known}")
        if versions and int(versions[-1].name) > int(version):
            raise VersionError(
                f"version {versions[-1].name} is higher than {version} and would answer: roll it back first"
            )
        classifier = Classifier.open(withdrawn / MODEL_FILE)
        with without_interruption():
            if versions and (readme := self.folder.path / README_FILE).exists():
                readme.replace(versions[-1] / README_FILE)
            restored = withdrawn.rename(self.folder.path / version)
            self._describe(restored, classifier)
        return restored

    def _describe(self, version: Path, classifier: Classifier) -> None:
        """Write the files beside the versions, which describe the one that answers."""
        card, folder = classifier.card, self.folder.path
        describe(folder, card, classifier.shape)
        if (kept := version / README_FILE).exists():
            kept.replace(folder / README_FILE)
        else:
            metrics = msgspec.structs.asdict(card.metrics)
            text = README.format(name=card.name, title=card.title, version=card.version, **metrics)
            (folder / README_FILE).write_text(text, encoding="utf-8")


def _renumbered(draft: Path, version: str) -> Path:
    """Give a draft another version number, in its card and its README too; returns its folder."""
    file, readme = draft / MODEL_FILE, draft.parent / README_FILE
    card = msgspec.structs.replace(Classifier.open(file).card, version=version)
    paths = re.compile(rf"(?<=[`(]){draft.name}/")  # of the model file and the plots
    text = paths.sub(f"{version}/", readme.read_text(encoding="utf-8"))
    _replace(file, with_metadata(onnx.load(file), card.to_metadata()))
    _replace(readme, text.encode())
    target = draft.with_name(version)
    shutil.rmtree(target, ignore_errors=True)  # of a promotion that was interrupted
    return draft.rename(target)


def _replace(file: Path, content: bytes) -> None:
    """Give a file another content, or keep it as it is where there is no room."""
    new_file = file.with_suffix(".new")
    try:
        new_file.write_bytes(content)
        new_file.replace(file)
    finally:
        new_file.unlink(missing_ok=True)
