"""The routes that an operator's machinery asks."""

from collections.abc import Callable

from flask import Blueprint, Response, jsonify
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from serving.concurrency import aside
from serving.model.classifier import Classifier
from serving.model.card import ContractError
from serving.errors import NoModel
from serving.repository.repository import Repository


def blueprint(repository: Repository, registry: CollectorRegistry, count: Callable[[], None]) -> Blueprint:
    """Return the probes, livez for a process that answers and readyz for one that classifies, and the metrics.

    count: counts what was noted and not counted yet.
    """
    api = Blueprint("operations", __name__)

    @api.get("/livez")
    def livez() -> Response:
        return jsonify({"live": True})

    @api.get("/readyz")
    def readyz() -> Response:
        ready = check_ready(repository)
        return jsonify({"ready": True, "models": [f"{c.card.name}:{c.card.version}" for c in ready]})

    @api.get("/metrics")
    def metrics() -> Response:
        count()
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    return api


def check_ready(repository: Repository) -> list[Classifier]:
    """Return the answering models once they have given the right answers; raises NoModel."""
    ready = repository.ready()
    if not ready:
        raise NoModel("No model is loaded; the service's log and GET /models say why.")
    for classifier in ready:
        try:
            aside(classifier.check_golden)
        except ContractError as error:
            raise NoModel(f"The model {classifier.card.name!r} answers wrongly: {error}.") from error
    return ready
