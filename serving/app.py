"""The application: everything wired together, and every refusal answered as a problem document (RFC 9457)."""

import os
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from flask import Flask, Response
from flask.json.provider import JSONProvider
from PIL import Image
from werkzeug.exceptions import HTTPException

from serving.admission import Admission
from serving.answers import Desk
from serving.api import classify, explain, models, operations
from serving.api.replies import FAILED, Problems, Shortcut
from serving.api.uploads import Limits, Memory
from serving.deadline import Deadline
from serving.drift import Drift, References
from serving.errors import (
    BadRequest,
    InternalError,
    MethodNotAllowed,
    NotFound,
    Refusal,
)
from serving.inventory import Inventory
from serving.loader import Loading
from serving.metrics import SHARED, Metrics, registries
from serving.orders import Orders
from serving.repository import Repository
from serving.settings import Settings
from serving.shadow import Shadow
from serving.ticks import TICK
from serving.watch import Watch

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
    app = Flask("serving", static_folder=None)
    app.json = MsgspecProvider(app)
    own, seen = registries()
    metrics = Metrics(own)
    repository = repository_of(settings, metrics)
    seen.register(References(repository))
    seen.register(Inventory(repository))
    problems = Problems(metrics)
    drift, shadow, watch = Drift(metrics), Shadow(repository, metrics), Watch(repository, settings.poll_seconds)
    desk = Desk(repository, settings.max_pixels, drift, shadow)
    memory = Memory(BODIES_AT_ONCE * settings.max_body)
    limits = Limits(settings.max_body, settings.max_images, Deadline(settings.body_seconds), memory)
    admission = Admission(settings.in_flight, settings.wait_seconds)
    view = classify.Classify(desk, limits, admission)
    app.wsgi_app = Shortcut(app.wsgi_app, "POST", classify.PATH, view, problems)  # type: ignore[method-assign]
    app.register_blueprint(classify.blueprint(view))
    app.register_blueprint(explain.blueprint(desk, limits, admission))
    app.register_blueprint(models.blueprint(repository))
    app.register_blueprint(operations.blueprint(repository, seen, drift))
    app.extensions[TICK] = partial(tick, drift, shadow, watch)
    app.register_error_handler(Refusal, problems.flask)
    app.register_error_handler(HTTPException, lambda error: of_the_framework(error, app, problems))
    return app


def tick(drift: Drift, shadow: Shadow, watch: Watch) -> None:
    """Do what is to be done once a second; none of it takes long."""
    drift.tick()
    shadow.tick()
    watch.tick()


def repository_of(settings: Settings, metrics: Metrics) -> Repository:
    """Return the models of the settings' folder, which count what they load and obey the orders to all workers."""

    def count(loading: Loading) -> None:
        metrics.loads.labels(loading.name, "loaded" if loading.digest else "refused").inc()

    return Repository(
        settings.folder,
        settings.session_threads,
        settings.default_grey,
        settings.default_colour,
        settings.shadow,
        Orders(Path(os.environ[SHARED], "orders") if SHARED in os.environ else None),
        count,
    )


def of_the_framework(error: HTTPException, app: Flask, problems: Problems) -> Response:
    """Return a refusal of Flask's own in this service's words, with the headers that Flask gave it."""
    refusals = {
        404: NotFound(f"There is nothing here; there are: {', '.join(_addresses(app))}."),
        405: MethodNotAllowed(f"This address takes {', '.join(getattr(error, 'valid_methods', None) or [])}."),
        500: InternalError(FAILED),
    }
    response = problems.flask(refusals.get(error.code or 500) or BadRequest(error.description or error.name))
    if "Allow" in (headers := dict(error.get_headers())):
        response.headers["Allow"] = headers["Allow"]
    return response


def _addresses(app: Flask) -> list[str]:
    return sorted({rule.rule for rule in app.url_map.iter_rules()})
