"""From uploads to predictions, one answer an upload; knows no web framework."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from msgspec import UNSET, Struct, UnsetType

from serving.classifier import Classifier
from serving.errors import Refusal
from serving.images import Input, PixelBudget, decode, fit
from serving.repository import Repository

Upload = bytes | Refusal


@dataclass(frozen=True)
class Question:
    """What a client asks of its images; no model means that each image's colour decides."""

    model: str | None = None
    version: str = ""
    top_k: int = 5
    seen: bool = False


class Candidate(Struct, frozen=True):
    """One label and how probable it is."""

    label: str
    index: int
    probability: float


class Prediction(Struct, frozen=True, kw_only=True):
    """What a model says of one image, and what was done to the image to ask it."""

    model: str
    version: str
    label: str
    index: int
    probability: float
    top: list[Candidate]
    fit: tuple[str, ...]
    seen: str | UnsetType = UNSET


@dataclass(frozen=True)
class Prepared:
    """An image made the input of the model that is to answer it."""

    classifier: Classifier
    input: Input


def answer(
    uploads: Sequence[Upload], question: Question, repository: Repository, max_pixels: int
) -> list[Prediction | Refusal]:
    """Classify each upload, those of one model in one batch; a bad upload's refusal stands in its place."""
    named = repository.named(question.model, question.version) if question.model else None
    budget = PixelBudget(max_pixels)
    prepared = [_prepare(upload, named, repository, budget) for upload in uploads]
    answers: dict[int, Prediction | Refusal] = {}
    batches: dict[Classifier, list[int]] = {}
    for place, item in enumerate(prepared):
        if isinstance(item, Refusal):
            answers[place] = item
        else:
            batches.setdefault(item.classifier, []).append(place)
    for classifier, places in batches.items():
        inputs = [item.input for place in places if isinstance(item := prepared[place], Prepared)]
        answers.update(zip(places, _predict(classifier, inputs, question), strict=True))
    return [answers[place] for place in range(len(uploads))]


def _prepare(
    upload: Upload, named: Classifier | None, repository: Repository, budget: PixelBudget
) -> Prepared | Refusal:
    if isinstance(upload, Refusal):
        return upload
    try:
        picture = decode(upload, budget)
        classifier = named or repository.default(picture.grey)
    except Refusal as refusal:
        return refusal
    how = classifier.card.fit
    return Prepared(classifier, fit(picture, how, classifier.height, classifier.width, classifier.channels))


def _predict(classifier: Classifier, inputs: list[Input], question: Question) -> list[Prediction]:
    probabilities = classifier.classify(np.stack([item.pixels for item in inputs]))
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, : question.top_k]
    return [
        _prediction(classifier, item, row[order], order, question.seen)
        for item, row, order in zip(inputs, probabilities, best, strict=True)
    ]


def _prediction(
    classifier: Classifier, item: Input, probabilities: np.ndarray, indices: np.ndarray, seen: bool
) -> Prediction:
    card = classifier.card
    top = [
        Candidate(card.labels[index], index, round(probability, 6))
        for index, probability in zip(indices.tolist(), probabilities.tolist(), strict=True)
    ]
    return Prediction(
        model=card.name,
        version=card.version,
        label=top[0].label,
        index=top[0].index,
        probability=top[0].probability,
        top=top,
        fit=item.done,
        seen=item.data_url() if seen else UNSET,
    )
