"""GET /models: what there is to ask, with everything that each model says of itself."""

from flask import Blueprint, Response, jsonify
from msgspec import UNSET, Struct, UnsetType

from serving.contract import ModelCard
from serving.repository import Model, Repository


class Listing(Struct, frozen=True, kw_only=True):
    """A model as clients see it; where no version answers, or not the highest, the reason says why."""

    name: str
    version: str | None = None
    versions: tuple[str, ...]
    state: str
    default: bool
    digest: str | None = None
    card: ModelCard | None = None
    reason: str | UnsetType = UNSET


def blueprint(repository: Repository) -> Blueprint:
    """Return the routes that describe models."""
    api = Blueprint("models", __name__)

    @api.get("/models")
    def models() -> Response:
        return jsonify({"models": [_listing(model, repository) for model in repository.models.values()]})

    @api.get("/models/<name>")
    def model(name: str) -> Response:
        return jsonify(_listing(repository.find(name), repository))

    return api


def _listing(model: Model, repository: Repository) -> Listing:
    reason = model.reason or UNSET
    if model.classifier is None:
        return Listing(name=model.name, versions=model.versions, state="unavailable", default=False, reason=reason)
    return Listing(
        name=model.name,
        version=model.classifier.card.version,
        versions=model.versions,
        state="ready",
        default=repository.is_default(model),
        digest=model.classifier.digest,
        card=model.classifier.card,
        reason=reason,
    )
