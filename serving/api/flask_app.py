"""Flask, made to speak this service's words: its JSON, and its refusals as problem documents (RFC 9457)."""

from collections.abc import Callable
from typing import Any

import msgspec
from flask import Flask, Response, request
from flask.json.provider import JSONProvider
from werkzeug.exceptions import HTTPException

from serving.api import v2
from serving.api.replies import Problems
from serving.errors import BadRequest, InternalError, MethodNotAllowed, NotFound, Refusal


class MsgspecProvider(JSONProvider):
    """JSON by msgspec, which writes the structs of this project as they are."""

    def dumps(self, obj: Any, **_: Any) -> str:
        return msgspec.json.encode(obj).decode()

    def loads(self, s: str | bytes, **_: Any) -> Any:
        return msgspec.json.decode(s)


def flask(problems: Problems) -> Flask:
    """Return an application without any route."""
    app = Flask("serving", static_folder=None)
    app.json = MsgspecProvider(app)
    app.url_map.merge_slashes = False  # a redirect of Werkzeug's own would be HTML, and loses a body

    def refused(refusal: Refusal) -> Response:
        reply = problems.reply(refusal)
        return (v2.in_its_words(reply, refusal) if v2.is_v2(request.path) else reply).flask()

    app.register_error_handler(Refusal, refused)
    app.register_error_handler(HTTPException, lambda error: _of_flask(error, app, refused))
    return app


def _of_flask(error: HTTPException, app: Flask, refused: Callable[[Refusal], Response]) -> Response:
    """Return a refusal of Flask's own in this service's words, with the headers that Flask gave it."""
    refusals = {
        404: NotFound(f"There is nothing here; there are: {', '.join(_addresses(app, v2.is_v2(request.path)))}."),
        405: MethodNotAllowed(f"This address takes {', '.join(getattr(error, 'valid_methods', None) or [])}."),
        500: InternalError(),
    }
    response = refused(refusals.get(error.code or 500) or BadRequest(error.description or error.name))
    if "Allow" in (headers := dict(error.get_headers())):
        response.headers["Allow"] = headers["Allow"]
    return response


def _addresses(app: Flask, of_v2: bool) -> list[str]:
    return sorted({rule.rule for rule in app.url_map.iter_rules() if v2.is_v2(rule.rule) == of_v2})
