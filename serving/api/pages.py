"""The pages and the OpenAPI document; they load nothing from other servers."""

from collections.abc import Callable
from functools import lru_cache, reduce
from http import HTTPStatus
from operator import getitem
from pathlib import Path
from typing import Any

import msgspec
from flask import Blueprint, Response, jsonify, render_template, request, send_from_directory

from serving.api.replies import JSON, PROBLEM
from serving.repository.index import is_router
from serving.repository.repository import Repository
from serving.server.deadline import MIN_BODY_RATE

STATIC = Path(__file__).parent.parent / "static"
SAMPLES = ("trouser", "handbag", "ship", "spiral")  # drawings, for a first try without an image
ICON = "icon.svg"
COVERAGES = (0.8, 0.9, 0.95, 0.99)  # on offer on the page
HTML = "text/html"
HEADERS = {
    # blob: is the image that a person picked, data: the images in an answer.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob: data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'",
    "Cache-Control": "no-cache",  # revalidated each time, with 304 while it is the same
}


def blueprint(repository: Repository, document: dict[str, Any], needs_key: bool = False) -> Blueprint:
    """Return the routes of the pages, of their files, and of the OpenAPI document; needs_key: asking takes a key."""
    pages = Blueprint("pages", __name__, static_folder=STATIC, static_url_path="/static")
    docs_below = _docs(document)

    @pages.get("/")
    def page() -> str:
        cards = [classifier.card for classifier in repository.ready() if not is_router(classifier)]
        return render_template(
            "page.html",
            cards=cards,
            automatic=_automatic(repository),
            coverages=COVERAGES,
            samples=SAMPLES,
            needs_key=needs_key,
        )

    @pages.get("/favicon.ico")  # browsers ask for it unasked
    def favicon() -> Response:
        return send_from_directory(STATIC, ICON)

    @pages.get("/docs")
    def docs() -> str:
        return docs_below(request.script_root)

    @pages.get("/openapi.json")
    def openapi() -> Response:
        return jsonify(document | {"servers": [{"url": request.script_root or "/", "description": "This service"}]})

    pages.after_request(_set_headers)
    return pages


def _docs(document: dict[str, Any]) -> Callable[[str], str]:
    """Return the page of an OpenAPI document, for each root path that its links begin with."""
    calls = _calls(document)

    @lru_cache(maxsize=4)  # rendering takes as long as many images
    def docs_below(_: str) -> str:
        return render_template(
            "docs.html",
            document=document,
            calls=calls,
            codes=_codes,
            pretty=_pretty,
            problem=PROBLEM,
            body_rate=MIN_BODY_RATE,
        )

    return docs_below


def _automatic(repository: Repository) -> str:
    """Return what answers where no model is named."""
    defaults = repository.defaults
    names = [one.card.name for one in (defaults.garments.classifier, defaults.things.classifier) if one]
    if len(set(names)) < 2:
        return "".join(names[:1])
    garments, things = names
    if defaults.router:
        return f"{garments} for garments, {things} for things"
    return f"{garments} for grey images, {things} for colour images"


def prefers_page() -> bool:
    """Whether the client of this request is a browser that shows a page, rather than a program."""
    return request.accept_mimetypes.best_match((PROBLEM, JSON, HTML)) == HTML


def not_found_page(detail: str) -> Response:
    """Return the page about an unknown path, with the way to those that exist."""
    response = Response(render_template("not_found.html", detail=detail), HTTPStatus.NOT_FOUND, mimetype=HTML)
    response.headers.update(HEADERS)
    return response


def _set_headers(response: Response) -> Response:
    """Set what a page may load, and answer 304 to a browser that has this content."""
    response.headers.update(HEADERS)
    if response.status_code == HTTPStatus.OK and "ETag" not in response.headers:  # files have theirs
        response.add_etag()
        response.make_conditional(request)
    return response


def _calls(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the calls of an OpenAPI document in its order, each with its parameters and body in it."""
    calls = [
        {**operation, "method": method.upper(), "path": path}
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]
    for call in calls:
        call["parameters"] = [_resolve(document, parameter) for parameter in call.get("parameters", [])]
        call["requestBody"] = _resolve(document, call.get("requestBody", {}))
    return calls


def _resolve(document: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """Return the target of a node's $ref, or the node itself."""
    keys = node.get("$ref", "").split("/")[1:]
    return reduce(getitem, keys, document) if keys else node


def _codes(response: dict[str, Any]) -> list[str]:
    """Return the codes of a response that is a problem document; of another, none."""
    problem = response.get("content", {}).get(PROBLEM)
    codes: list[str] = problem["schema"]["properties"]["code"]["enum"] if problem else []
    return codes


def _pretty(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value)).decode()
