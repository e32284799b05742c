"""The application: everything wired together, and every refusal answered as a problem document (RFC 9457)."""

import warnings
from typing import Any

import msgspec
from flask import Flask, Response
from flask.json.provider import JSONProvider
from PIL import Image
from werkzeug.exceptions import HTTPException

from serving.answers import Desk
from serving.api import classify, explain, models, operations
from serving.api.uploads import Limits
from serving.deadline import Deadline
from serving.drift import References
from serving.errors import (
    BadRequest,
    InternalError,
    MethodNotAllowed,
    NotFound,
    Refusal,
)
from serving.metrics import Metrics, registries
from serving.repository import Repository
from serving.settings import Settings

RETRY_AFTER = "5"  # seconds; another replica, or this one started again, may have the model


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
    own, seen = registries()
    seen.register(References(repository))
    desk = Desk(repository, settings.max_pixels, Metrics(own))
    limits = Limits(settings.max_body, settings.max_images, Deadline(settings.body_seconds))
    app.register_blueprint(classify.blueprint(desk, limits))
    app.register_blueprint(explain.blueprint(desk, limits))
    app.register_blueprint(models.blueprint(repository))
    app.register_blueprint(operations.blueprint(repository, seen))
    app.register_error_handler(Refusal, problem)
    app.register_error_handler(HTTPException, lambda error: of_the_framework(error, app))
    return app


def problem(refusal: Refusal) -> Response:
    """Return the answer to a request that is refused."""
    response = Response(msgspec.json.encode(refusal.problem()), refusal.status, mimetype="application/problem+json")
    if refusal.status == 503:
        response.headers["Retry-After"] = RETRY_AFTER
    return response


def of_the_framework(error: HTTPException, app: Flask) -> Response:
    """Return a refusal of Flask's own in this service's words, with the headers that Flask gave it."""
    refusals = {
        404: NotFound(f"There is nothing here; there are: {', '.join(_addresses(app))}."),
        405: MethodNotAllowed(f"This address takes {', '.join(getattr(error, 'valid_methods', None) or [])}."),
        500: InternalError("The service failed to answer; its log says why."),
    }
    response = problem(refusals.get(error.code or 500) or BadRequest(error.description or error.name))
    if "Allow" in (headers := dict(error.get_headers())):
        response.headers["Allow"] = headers["Allow"]
    return response


def _addresses(app: Flask) -> list[str]:
    return sorted({rule.rule for rule in app.url_map.iter_rules()})
