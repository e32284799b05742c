"""/stats: Triton's statistics extension."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, jsonify

from serving.repository.index import Model
from serving.repository.repository import Repository
from serving.telemetry.triton_statistics import ModelStatistics, RunTotals, StatisticsByModel, TritonStatistics


def blueprint(repository: Repository, statistics: TritonStatistics, flush: Callable[[], None]) -> Blueprint:
    """Return the routes of the statistics of all models, of one, and of one version.

    flush: counts everything that was noted and not counted yet.
    """
    api = Blueprint("v2-statistics", __name__, url_prefix="/models")

    def answer(models: list[Model], version: str = "") -> Response:
        flush()  # this process's counts; those of other workers are as old as their last tick
        found = statistics.by_model()
        keys = [(model.name, v) for model in models for v in ([version] if version else _versions(model, found))]
        return jsonify({"model_stats": [_statistics(*key, found.get(key, ModelStatistics())) for key in keys]})

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


def _versions(model: Model, found: StatisticsByModel) -> list[str]:
    """Return the versions of a model that had a request, and the one that answers."""
    answering = {model.classifier.card.version} if model.classifier else set()
    return sorted(answering | {version for name, version in found if name == model.name}, key=int)


def _statistics(name: str, version: str, statistics: ModelStatistics) -> dict[str, Any]:
    runs = statistics.total
    return {
        "name": name,
        "version": version,
        "last_inference": round(statistics.last_run * 1000),
        "inference_count": runs.images,
        "execution_count": runs.count,
        "inference_stats": {
            "success": _duration(runs.count, runs.seconds),
            "fail": _duration(sum(statistics.failures.values()), statistics.failure_seconds),
            "queue": _duration(runs.count, runs.queue),
            **_compute(runs),
            "cache_hit": _duration(0, 0.0),
            "cache_miss": _duration(0, 0.0),
        },
        "response_stats": {},
        "batch_stats": [{"batch_size": size, **_compute(runs)} for size, runs in sorted(statistics.by_size.items())],
        "memory_usage": [],
    }


def _compute(runs: RunTotals) -> dict[str, dict[str, int]]:
    return {
        "compute_input": _duration(runs.count, runs.input),
        "compute_infer": _duration(runs.count, runs.infer),
        "compute_output": _duration(runs.count, runs.output),
    }


def _duration(count: int, seconds: float) -> dict[str, int]:
    return {"count": count, "ns": round(seconds * 1e9)}
