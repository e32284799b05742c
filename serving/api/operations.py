"""The routes that an operator's machinery asks."""

from flask import Blueprint, Response, jsonify

from serving.errors import NoModel
from serving.repository import Repository


def blueprint(repository: Repository) -> Blueprint:
    """Return the probes: livez says that the process answers, readyz that it can classify."""
    api = Blueprint("operations", __name__)

    @api.get("/livez")
    def livez() -> Response:
        return jsonify({"live": True})

    @api.get("/readyz")
    def readyz() -> Response:
        ready = repository.ready()
        if not ready:
            raise NoModel("No model is loaded; the service's log and GET /models say why.")
        return jsonify({"ready": True, "models": [f"{c.card.name}:{c.card.version}" for c in ready]})

    return api
