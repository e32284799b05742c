"""All models at one moment: their versions, what became of loading them, and which answers when none is named."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from serving.model.classifier import Classifier
from serving.repository.scan import Stamps
from serving.repository.shadow_rules import Shade

# Whose models answer when a request names none; of several, the most accurate.
GREY_DATASET = "Fashion-MNIST"
COLOUR_DATASET = "CIFAR-10"

UNLOADED = "unloaded"  # the word of the V2 protocol's servers


@dataclass(frozen=True)
class Version:
    """What became of loading one version's file.

    classifier: what answers; that of the file before where a replaced one was refused. reason: why it was refused.
    asked: a client named this version, so that it stays loaded.
    """

    number: str
    classifier: Classifier | None = None
    reason: str | None = None
    asked: bool = False

    @property
    def state(self) -> str:
        """ready; unavailable; or idle, which is loaded when a client first names it."""
        if self.classifier:
            return "ready"
        return "unavailable" if self.reason else "idle"


@dataclass(frozen=True)
class Model:
    """A model: all its versions by number, lowest first, and the one that answers.

    stamps: of the files that this is the state of. fault: what is wrong with its folder. unloaded: an operator wants it
    to answer nothing.
    """

    name: str
    stamps: Stamps = field(default_factory=dict)
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
    def reason(self) -> str | None:
        return UNLOADED if self.unloaded else "; ".join(self.reasons) or None

    def changed(self, version: Version) -> Self:
        """Return the model with another state of one version that is not the answering one."""
        return replace(self, files={**self.files, version.number: version})


@dataclass(frozen=True)
class Choice:
    """What an operator chose: the models that answer grey and colour images when none is named, and the shadows."""

    grey: str | None = None
    colour: str | None = None
    shades: tuple[Shade, ...] = ()


@dataclass(frozen=True)
class Pair:
    """A shadow, and the answering classifier that it runs beside."""

    shade: Shade
    model: Classifier
    shadow: Classifier


@dataclass(frozen=True)
class Catalogue:
    """All models by name, never changed but replaced as a whole.

    grey, colour: the classifiers of images that come without a model's name. pairs: by the answering classifier.
    faults: what was chosen and is not there.
    """

    models: Mapping[str, Model] = field(default_factory=dict)
    grey: Classifier | None = None
    colour: Classifier | None = None
    pairs: Mapping[Classifier, Pair] = field(default_factory=dict)
    faults: tuple[str, ...] = ()

    @classmethod
    def of(cls, models: Mapping[str, Model], choice: Choice) -> Self:
        """Return the catalogue of these models; where no default is chosen, the fittest model is."""
        missing = (name for name in (choice.grey, choice.colour) if name and name not in models)
        faults = [f"no model {name!r} here, which is set as a default" for name in missing]
        pairs = {}
        for shade in choice.shades:
            found = _pair(models, shade)
            if isinstance(found, Pair):
                pairs[found.model] = found
            else:
                faults.append(f"no shadow {shade} of {shade.model}: {found}")
        grey, colour = _default(models, choice.grey, True), _default(models, choice.colour, False)
        return cls(models, grey, colour, pairs, tuple(faults))

    def ready(self) -> list[Classifier]:
        """Return the answering classifier of each model that has one."""
        return [model.classifier for model in self.models.values() if model.classifier]


def _default(models: Mapping[str, Model], chosen: str | None, grey: bool) -> Classifier | None:
    if chosen:
        return _answering(models, chosen)
    dataset = GREY_DATASET if grey else COLOUR_DATASET

    def rank(classifier: Classifier) -> tuple[bool, bool, float]:
        card = classifier.card
        return (classifier.channels == 1) == grey, card.dataset == dataset, card.metrics.accuracy

    return max((model.classifier for model in models.values() if model.classifier), key=rank, default=None)


def _answering(models: Mapping[str, Model], name: str, version: str = "") -> Classifier | None:
    if name not in models:
        return None
    if version:
        return models[name].files[version].classifier if version in models[name].files else None
    return models[name].classifier


def _pair(models: Mapping[str, Model], shade: Shade) -> Pair | str:
    """Return a shadow and what it runs beside, or why the two cannot be compared."""
    model, shadow = _answering(models, shade.model), _answering(models, shade.shadow, shade.version)
    if model is None:
        return f"no version of {shade.model} answers"
    if shadow is None:
        return f"{shade} is not loaded"
    if _input(model) != _input(shadow):
        return f"its input is {_input(shadow)}, not {_input(model)}"
    return Pair(shade, model, shadow) if model.card.labels == shadow.card.labels else "its labels are others"


def _input(classifier: Classifier) -> str:
    return f"{classifier.height} x {classifier.width} x {classifier.channels} by {classifier.card.fit!r}"
