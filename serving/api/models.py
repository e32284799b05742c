"""GET /models: the models, with their versions, states and cards, in the list without golden samples."""

from typing import Literal

import msgspec
from flask import Blueprint, Response, jsonify
from msgspec import UNSET, Struct, UnsetType

from serving.model.card import ModelCard
from serving.model.classifier import Classifier
from serving.repository.index import Model, Version, is_router
from serving.repository.repository import Repository


class VersionState(Struct, frozen=True, kw_only=True):
    """One version: ready, idle (loaded when first named) or unavailable, and what is wrong with its file."""

    version: str
    state: str
    digest: str | UnsetType = UNSET
    reason: str | UnsetType = UNSET


class ModelListing(Struct, frozen=True, kw_only=True):
    """A model as clients see it; reason: why no version answers, or not the highest.

    role: router for the model that chooses among the default models; only a card says it. default_reason: why the model
    is one of these.
    """

    name: str
    version: str | None = None
    versions: tuple[str, ...]
    states: list[VersionState]
    state: str
    role: Literal["classifier", "router"] | None = None
    default: bool
    default_reason: str | UnsetType = UNSET
    digest: str | None = None
    card: ModelCard | None = None
    reason: str | UnsetType = UNSET


def blueprint(repository: Repository) -> Blueprint:
    """Return the routes that describe models."""
    api = Blueprint("models", __name__)

    @api.get("/models")
    def models() -> Response:
        listed = msgspec.to_builtins([_listing(model, repository) for model in repository.models.values()])
        for card in filter(None, (each["card"] for each in listed)):
            del card["golden"]  # most of its length, and to be had with each model
        return jsonify({"models": listed})

    @api.get("/models/<name>")
    def model(name: str) -> Response:
        return jsonify(_listing(repository.find(name), repository))

    return api


def _listing(model: Model, repository: Repository) -> ModelListing:
    reasons = repository.default_reasons(model)
    card, digest = (model.classifier.card, model.classifier.digest) if model.classifier else (None, None)
    return ModelListing(
        name=model.name,
        version=card.version if card else None,
        versions=model.versions,
        states=[_state(version) for version in model.files.values()],
        state="ready" if card else "unavailable",
        role=_role(model.classifier) if model.classifier else None,
        default=bool(reasons),
        default_reason="; ".join(reasons) or UNSET,
        digest=digest,
        card=card,
        reason=model.reason or UNSET,
    )


def _role(classifier: Classifier) -> Literal["classifier", "router"]:
    return "router" if is_router(classifier) else "classifier"


def _state(version: Version) -> VersionState:
    digest = version.classifier.digest if version.classifier else UNSET
    return VersionState(version=version.number, state=version.state, digest=digest, reason=version.reason or UNSET)
