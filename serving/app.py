"""The application: everything wired together, and every refusal answered as a problem document (RFC 9457)."""

import warnings
from collections.abc import Callable
from typing import Any

import msgspec
from flask import Flask, Response, request
from flask.json.provider import JSONProvider
from PIL import Image
from prometheus_client import CollectorRegistry
from werkzeug.exceptions import HTTPException

from serving.admission import Admission
from serving.answers import Desk
from serving.api import classify, explain, models, operations, pages, v2, v2_repository, v2_statistics
from serving.api.replies import FAILED, Problems, Shortcut
from serving.api.uploads import Limits, Memory
from serving.api.v2_infer import Infer
from serving.deadline import Deadline
from serving.drift import Drift, References
from serving.errors import (
    BadRequest,
    InternalError,
    MethodNotAllowed,
    NotFound,
    Refusal,
)
from serving.hooks import REFUSE, TICK
from serving.metrics import Metrics, registries
from serving.repository import Repository
from serving.settings import Settings
from serving.statistics import Statistics

BODIES_AT_ONCE = 8  # of the largest size, that each worker reads; of smaller ones as many more


class MsgspecProvider(JSONProvider):
    """JSON by msgspec, which writes the structs of this project as they are."""

    def dumps(self, obj: Any, **_: Any) -> str:
        return msgspec.json.encode(obj).decode()

    def loads(self, s: str | bytes, **_: Any) -> Any:
        return msgspec.json.decode(s)


def create_app(settings: Settings | None = None) -> Flask:
    """Return the service; without settings they are read from the environment."""
    settings = settings or Settings.from_environment()
    Image.MAX_IMAGE_PIXELS = None  # serving.images judges the size itself, to refuse it in its own words
    warnings.filterwarnings("ignore", module="PIL")  # Pillow repeats text of damaged uploads
    repository = Repository(settings.folder, settings.session_threads, settings.default_grey, settings.default_colour)
    app = Flask("serving", static_folder=None)
    app.json = MsgspecProvider(app)
    own, counted = registries()
    statistics, seen = Statistics(counted), CollectorRegistry()
    seen.register(statistics)
    seen.register(References(repository))
    metrics = Metrics(own)
    problems = Problems(metrics)
    drift = Drift(metrics)
    desk = Desk(repository, settings.max_pixels, drift)
    memory = Memory(BODIES_AT_ONCE * settings.max_body)
    limits = Limits(settings.max_body, settings.max_images, Deadline(settings.body_seconds), memory)
    admission = Admission(settings.in_flight, settings.wait_seconds)
    view = classify.Classify(desk, limits, admission)
    app.wsgi_app = Shortcut(app.wsgi_app, "POST", classify.PATH, view, problems)  # type: ignore[method-assign]
    app.register_blueprint(classify.blueprint(view))
    app.register_blueprint(explain.blueprint(desk, limits, admission))
    app.register_blueprint(models.blueprint(repository))
    app.register_blueprint(operations.blueprint(repository, seen, drift))
    app.register_blueprint(pages.blueprint(repository, settings))
    v2_parts = (
        v2_repository.blueprint(repository, repository if settings.allow_loading else None, limits),
        v2_statistics.blueprint(repository, statistics, drift),
    )
    infer = Infer(repository, desk, limits, admission)
    app.register_blueprint(v2.blueprint(repository, infer, settings, *v2_parts))

    def refused(refusal: Refusal) -> Response:
        reply = problems.reply(refusal)
        return (v2.in_its_words(reply, refusal) if v2.is_v2(request.path) else reply).flask()

    app.extensions |= {TICK: drift.tick, REFUSE: problems.reply}
    app.register_error_handler(Refusal, refused)
    app.register_error_handler(HTTPException, lambda error: of_the_framework(error, app, refused))
    return app


def of_the_framework(error: HTTPException, app: Flask, refused: Callable[[Refusal], Response]) -> Response:
    """Return a refusal of Flask's own in this service's words, with the headers that Flask gave it."""
    refusals = {
        404: NotFound(f"There is nothing here; there are: {', '.join(_addresses(app, v2.is_v2(request.path)))}."),
        405: MethodNotAllowed(f"This address takes {', '.join(getattr(error, 'valid_methods', None) or [])}."),
        500: InternalError(FAILED),
    }
    response = refused(refusals.get(error.code or 500) or BadRequest(error.description or error.name))
    if "Allow" in (headers := dict(error.get_headers())):
        response.headers["Allow"] = headers["Allow"]
    return response


def _addresses(app: Flask, of_v2: bool) -> list[str]:
    return sorted({rule.rule for rule in app.url_map.iter_rules() if v2.is_v2(rule.rule) == of_v2})
