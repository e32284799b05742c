"""Flask, adapted: JSON by msgspec, and all errors as problem documents (RFC 9457)."""

from collections.abc import Callable
from typing import Any
from wsgiref.types import WSGIEnvironment

import msgspec
from flask import Flask, Response, request
from flask.json.provider import JSONProvider
from werkzeug.exceptions import BadHost, HTTPException

from serving.api.classify import PATH
from serving.api.html_replies import is_browser_form, not_found_page, prefers_page, refusal_page
from serving.api.replies import METHODS, ProblemReplies
from serving.api.v2.protocol import PATH as V2_PATH
from serving.api.v2.protocol import as_v2_error, is_v2
from serving.errors import BadRequest, InternalError, MethodNotAllowed, NotFound, Refusal

ALL_PATHS = "*"  # the target of a request; only OPTIONS may have it


class MsgspecProvider(JSONProvider):
    """JSON by msgspec, which encodes the structs of this project as they are."""

    def dumps(self, obj: Any, **_: Any) -> str:
        return msgspec.json.encode(obj).decode()

    def loads(self, s: str | bytes, **_: Any) -> Any:
        return msgspec.json.decode(s)


def flask_app(problems: ProblemReplies) -> Flask:
    """Return an application without routes."""
    app = Flask("serving", static_folder=None)
    app.json = MsgspecProvider(app)
    app.url_map.merge_slashes = False  # Werkzeug's own redirect would be HTML, and lose a body

    app.context_processor(lambda: {"root": request.script_root})

    def refuse(refusal: Refusal) -> Response:
        reply = problems.reply(refusal)
        if request.path.rstrip("/") == PATH and is_browser_form(request.environ):
            return refusal_page(refusal)
        return (as_v2_error(reply, refusal) if is_v2(request.path) else reply).flask()

    app.before_request(_ignore_ranges)
    app.before_request(_answer_for_all_paths)
    app.register_error_handler(Refusal, refuse)
    app.register_error_handler(HTTPException, lambda error: _handle_http_error(error, app, refuse))
    return app


def refuse_unrouted(app: Flask, environ: WSGIEnvironment, refusal: Refusal) -> Response:
    """Return the response to a request that is refused before Flask has it."""
    with app.request_context(environ):
        return app.make_response(app.handle_user_exception(refusal))


def _ignore_ranges() -> None:
    """Answer with the whole file, as RFC 9110 permits: the files are small, and Werkzeug refuses unknown units.

    Nor does the condition of such requests count: where it fails, Werkzeug sends the file with status 412.
    """
    for header in ("HTTP_RANGE", "HTTP_IF_MATCH"):
        request.environ.pop(header, None)


def _answer_for_all_paths() -> Response | None:
    """Answer OPTIONS *, which asks for the methods of the whole service (RFC 9110, section 9.3.7)."""
    return Response(headers={"Allow": METHODS}) if request.environ["PATH_INFO"] == ALL_PATHS else None


def _handle_http_error(error: HTTPException, app: Flask, refuse: Callable[[Refusal], Response]) -> Response:
    """Return an error of Flask's own as a problem document, with the methods that are allowed.

    A browser gets an unknown path as a page.
    """
    methods = ", ".join(sorted(getattr(error, "valid_methods", None) or []))
    refusals = {
        404: NotFound(f"No such path. Paths: {', '.join(_paths(app, is_v2(request.path)))}."),
        405: MethodNotAllowed(f"{request.method} is not allowed here; use {methods}."),
        500: InternalError(),
    }
    if isinstance(error, BadHost):
        host = request.environ.get("HTTP_HOST", "")
        refusals[400] = BadRequest(f"The Host {host[:120]!r} is not a valid name of a host.")
    refusal = refusals.get(error.code or 500) or BadRequest(error.description or error.name)
    response = refuse(refusal)
    if isinstance(refusal, NotFound) and not is_v2(request.path):
        response = not_found_page(str(refusal)) if prefers_page(request.environ) else response
        response.vary.add("Accept")
    if methods:
        response.headers["Allow"] = methods
    return response


def _paths(app: Flask, v2: bool) -> list[str]:
    """Return the paths of the V2 protocol, or the others and where that begins."""
    rules = {rule.rule for rule in app.url_map.iter_rules()}
    return sorted(rule for rule in rules if is_v2(rule) == v2 or rule == V2_PATH)
