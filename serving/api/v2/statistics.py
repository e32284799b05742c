"""/stats: Triton's statistics extension."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, jsonify

from serving.repository.repository import Repository
from serving.repository.index import Model
from serving.telemetry.triton_statistics import Ledger, Ledgers, Runs, Statistics


def blueprint(repository: Repository, statistics: Statistics, count: Callable[[], None]) -> Blueprint:
    """Return the routes of the statistics of all models, of one, and of one version."""
    api = Blueprint("v2-statistics", __name__, url_prefix="/models")

    def answer(models: list[Model], version: str = "") -> Response:
        count()  # this process's own counts are new, those of others as old as their last tick
        ledgers = statistics.ledgers()
        asked = [(model.name, v) for model in models for v in ([version] if version else _versions(model, ledgers))]
        return jsonify({"model_stats": [_statistics(*whose, ledgers.get(whose, Ledger())) for whose in asked]})

    @api.get("/stats")
    def of_all() -> Response:
        return answer(list(repository.models.values()))

    @api.get("/<name>/stats")
    def of_model(name: str) -> Response:
        return answer([repository.find(name)])

    @api.get("/<name>/versions/<version>/stats")
    def of_version(name: str, version: str) -> Response:
        repository.named(name, version)  # raises UnknownModel
        return answer([repository.find(name)], version)

    return api


def _versions(model: Model, ledgers: Ledgers) -> list[str]:
    """Return the versions of a model that were asked anything, and the one that answers."""
    answering = {model.classifier.card.version} if model.classifier else set()
    return sorted(answering | {version for name, version in ledgers if name == model.name}, key=int)


def _statistics(name: str, version: str, ledger: Ledger) -> dict[str, Any]:
    runs = ledger.all
    return {
        "name": name,
        "version": version,
        "last_inference": round(ledger.last * 1000),
        "inference_count": runs.images,
        "execution_count": runs.count,
        "inference_stats": {
            "success": _duration(runs.count, runs.seconds),
            "fail": _duration(sum(ledger.failures.values()), ledger.failure_seconds),
            "queue": _duration(runs.count, runs.queue),
            **_computing(runs),
            "cache_hit": _duration(0, 0.0),
            "cache_miss": _duration(0, 0.0),
        },
        "response_stats": {},
        "batch_stats": [{"batch_size": size, **_computing(runs)} for size, runs in sorted(ledger.sizes.items())],
        "memory_usage": [],
    }


def _computing(runs: Runs) -> dict[str, dict[str, int]]:
    return {
        "compute_input": _duration(runs.count, runs.input),
        "compute_infer": _duration(runs.count, runs.infer),
        "compute_output": _duration(runs.count, runs.output),
    }


def _duration(count: int, seconds: float) -> dict[str, int]:
    return {"count": count, "ns": round(seconds * 1e9)}
