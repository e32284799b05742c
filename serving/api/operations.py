"""The probes and the metrics, for an operator's tools."""

from collections.abc import Callable

from flask import Blueprint, Response, jsonify
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from serving.repository.repository import Repository


def blueprint(repository: Repository, registry: CollectorRegistry, flush: Callable[[], None]) -> Blueprint:
    """Return the probes, livez for a process that answers and readyz for one that classifies, and the metrics.

    flush: counts everything that was noted and not counted yet.
    """
    api = Blueprint("operations", __name__)

    @api.get("/livez")
    def livez() -> Response:
        return jsonify({"live": True})

    @api.get("/readyz")
    def readyz() -> Response:
        return jsonify({"ready": True, "models": [ready.full_name for ready in repository.check_ready()]})

    @api.get("/metrics")
    def metrics() -> Response:
        flush()
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    return api
