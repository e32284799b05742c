"""All models at one moment: their versions, the outcome of loading each, and the default models."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from serving.errors import UnknownModel
from serving.model.classifier import Classifier
from serving.repository.scan import FileSignatures
from serving.repository.shadow_rules import ShadowRule

# The default models are those of these data sets, for garments and for things; of several, the most accurate.
GARMENTS_DATASET = "Fashion-MNIST"
THINGS_DATASET = "CIFAR-10"
DATASETS = {GARMENTS_DATASET, THINGS_DATASET}
ROUTED = f"{GARMENTS_DATASET} and {THINGS_DATASET}"
ROUTER = "router"  # the model that tells which of the data sets an image is like; its two labels are their names

UNLOADED = "unloaded"  # the V2 protocol's word


@dataclass(frozen=True)
class Version:
    """The outcome of loading one version's file.

    classifier: answers; that of the file before where a replacement was refused. reason: why the file was refused.
    requested: a client named this version, so it stays loaded.
    """

    number: str
    classifier: Classifier | None = None
    reason: str | None = None
    requested: bool = False

    @property
    def state(self) -> str:
        """ready, unavailable, or idle: to be loaded when a client first names it."""
        if self.classifier:
            return "ready"
        return "unavailable" if self.reason else "idle"


@dataclass(frozen=True)
class Model:
    """A model: all its versions by number, lowest first, and the one that answers.

    signatures: of the files whose state this is. fault: what is wrong with its folder. unloaded: an operator asked
    that it answer nothing.
    """

    name: str
    signatures: FileSignatures = field(default_factory=dict)
    files: Mapping[str, Version] = field(default_factory=dict)
    classifier: Classifier | None = None
    fault: str | None = None
    unloaded: bool = False

    @property
    def versions(self) -> tuple[str, ...]:
        return tuple(self.files)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Everything that is wrong with it, the highest version's first."""
        of_files = tuple(version.reason for version in reversed([*self.files.values()]) if version.reason)
        return (*of_files, self.fault) if self.fault else of_files

    @property
    def newer_reasons(self) -> tuple[str, ...]:
        """Return the faults of files that were to take the place of the one that answers, and of the folder."""
        answering = int(self.classifier.card.version) if self.classifier else 0
        newer = {number: version for number, version in self.files.items() if int(number) >= answering}
        return replace(self, files=newer).reasons

    @property
    def reason(self) -> str | None:
        return UNLOADED if self.unloaded else "; ".join(self.reasons) or None

    def version(self, number: str) -> Version:
        """Return a version, whatever its state; raises UnknownModel with the numbers that exist."""
        if number not in self.files:
            known = ", ".join(self.versions) or "none"
            raise UnknownModel(f"The model {self.name!r} has no version {number[:120]!r}. Versions: {known}.")
        return self.files[number]

    def with_version(self, version: Version) -> Self:
        """Return the model with another state of one version that is not the answering one."""
        return replace(self, files={**self.files, version.number: version})


@dataclass(frozen=True)
class Routing:
    """The operator's choice of default models for garments (grey) and for things (colour), and of shadows."""

    grey: str | None = None
    colour: str | None = None
    shadow_rules: tuple[ShadowRule, ...] = ()


@dataclass(frozen=True)
class ShadowPair:
    """A shadow, and the answering classifier that it is compared with."""

    rule: ShadowRule
    model: Classifier
    shadow: Classifier


@dataclass(frozen=True)
class Default:
    """A default model, if it can answer, and the reason why it is the default."""

    classifier: Classifier | None = None
    reason: str = ""


@dataclass(frozen=True)
class Defaults:
    """The default models of one moment, and the router that chooses between them; None: there is no router."""

    garments: Default = Default()
    things: Default = Default()
    router: Classifier | None = None

    @property
    def classifiers(self) -> list[Classifier]:
        """All models that may look at an image for which the client names none."""
        found = self.garments.classifier, self.things.classifier, self.router
        return [classifier for classifier in found if classifier]

    def reasons(self, classifier: Classifier) -> list[str]:
        """Return why a model is a default; empty where it is none."""
        domains = (("garments", self.garments), ("things", self.things))
        return [f"{domain}: {default.reason}" for domain, default in domains if default.classifier is classifier]


@dataclass(frozen=True)
class ModelIndex:
    """All models by name; never changed but replaced as a whole.

    pairs: by the answering classifier. faults: what the routing names and is not there.
    """

    models: Mapping[str, Model] = field(default_factory=dict)
    defaults: Defaults = Defaults()
    pairs: Mapping[Classifier, ShadowPair] = field(default_factory=dict)
    faults: tuple[str, ...] = ()

    @classmethod
    def of(cls, models: Mapping[str, Model], routing: Routing) -> Self:
        """Index these models; where the routing names no default, take the model that suits best."""
        faults = [fault for name in (routing.grey, routing.colour) if name and (fault := _fault(models, name))]
        pairs = {}
        for rule in routing.shadow_rules:
            found = _pair(models, rule)
            if isinstance(found, ShadowPair):
                pairs[found.model] = found
            else:
                faults.append(f"the shadow {rule} of {rule.model} does not run: {found}")
        return cls(models, _defaults(models, routing), pairs, tuple(faults))

    def ready(self) -> list[Classifier]:
        """Return the answering classifier of each model that has one."""
        return [model.classifier for model in self.models.values() if model.classifier]


def is_router(classifier: Classifier) -> bool:
    """Whether a model chooses between the default models, rather than being one."""
    card = classifier.card
    return card.name == ROUTER and set(card.labels) == DATASETS


def _fault(models: Mapping[str, Model], name: str) -> str:
    """Return why the model that the operator chose cannot be a default model; empty where it can, or is not loaded."""
    if name not in models:
        return f"the default model {name!r} is not here; add it, or change the setting"
    classifier = models[name].classifier
    if classifier and is_router(classifier):
        return f"the default model {name!r} only chooses between others, and knows no labels of images; name another"
    return ""


def _defaults(models: Mapping[str, Model], routing: Routing) -> Defaults:
    signatures = {model.classifier: model.signatures for model in models.values() if model.classifier}
    ready = [classifier for classifier in signatures if not is_router(classifier)]
    router = next((classifier for classifier in signatures if is_router(classifier)), None)
    others = [classifier for classifier in ready if classifier.card.dataset not in DATASETS]

    def age(classifier: Classifier) -> tuple[str, int]:
        """Return the date of training, and the time at which the file changed; a newer model's is larger."""
        signature = signatures[classifier][classifier.card.version]
        return classifier.card.training.date, signature[1] if len(signature) > 1 else 0

    def choose(name: str | None, dataset: str) -> Default:
        if name:
            chosen = None if _fault(models, name) else _answering(models, name)
            return Default(chosen, "the operator's choice")
        if others:
            return Default(max(others, key=age), f"the newest model of data other than {ROUTED}")
        return _most_accurate(ready, dataset)

    return Defaults(choose(routing.grey, GARMENTS_DATASET), choose(routing.colour, THINGS_DATASET), router)


def _most_accurate(classifiers: Collection[Classifier], dataset: str) -> Default:
    """Return the default among these: the most accurate of a data set, or of another where it has none."""

    def rank(classifier: Classifier) -> tuple[bool, bool, float]:
        card = classifier.card
        suits = (classifier.channels == 1) == (dataset == GARMENTS_DATASET)
        return card.dataset == dataset, suits, card.metrics.accuracy

    best = max(classifiers, key=rank, default=None)
    of_dataset = best is not None and best.card.dataset == dataset
    return Default(best, f"the most accurate of {dataset}" if of_dataset else f"there is no model of {dataset}")


def _answering(models: Mapping[str, Model], name: str, version: str = "") -> Classifier | None:
    if name not in models:
        return None
    if version:
        return models[name].files[version].classifier if version in models[name].files else None
    return models[name].classifier


def _pair(models: Mapping[str, Model], rule: ShadowRule) -> ShadowPair | str:
    """Return a shadow and the classifier that it is compared with, or why they cannot be compared."""
    model, shadow = _answering(models, rule.model), _answering(models, rule.shadow, rule.version)
    if model is None:
        return f"no version of {rule.model} answers"
    if shadow is None:
        return f"{rule} is not loaded"
    if _input(model) != _input(shadow):
        return f"its input is {_input(shadow)}, not {_input(model)}"
    return ShadowPair(rule, model, shadow) if model.card.labels == shadow.card.labels else "its labels differ"


def _input(classifier: Classifier) -> str:
    return f"{classifier.height} x {classifier.width} x {classifier.channels} by {classifier.card.fit!r}"
