"""The pages and the OpenAPI document; they load nothing from other servers."""

import gzip
from collections.abc import Callable
from functools import lru_cache, reduce
from http import HTTPStatus
from itertools import chain
from operator import getitem
from typing import Any

import msgspec
from flask import Blueprint, Response, jsonify, render_template, request, send_from_directory

from serving.api.html_replies import PAGE_HEADERS
from serving.api.replies import PROBLEM
from serving.api.static_files import STATIC, add_static_files
from serving.model.card import ModelCard
from serving.repository.index import Defaults, is_router
from serving.repository.repository import Repository
from serving.server.deadline import MIN_BODY_RATE
from serving.settings import Settings

# Drawings, for a first try without an image, each with the label that it has; the spiral is like nothing.
SAMPLES = {"trouser": "Trouser", "handbag": "Bag", "ship": "ship", "spiral": None}
OWN_IMAGES = "Own images"  # the titles of their models begin with it
AUTOMATIC = "automatic"
ICON = "icon.svg"
COMPRESSED = ("text/html", "text/css", "text/javascript", "application/json", "image/svg+xml")
MAX_KNOWN, MAX_NAME = 12, 40  # subjects and labels that the page names in a sentence, and characters of each
COVERAGES = (0.8, 0.9, 0.95, 0.99)  # on offer on the page


def blueprint(repository: Repository, document: dict[str, Any], settings: Settings) -> Blueprint:
    """Return the routes of the pages, of their files, and of the OpenAPI document."""
    pages = Blueprint("pages", __name__)
    add_static_files(pages)
    pages.add_app_template_filter(_subject, "subject")
    pages.add_app_template_filter(_known, "known")
    docs_below = _docs(document)

    @pages.get("/")
    def page() -> str:
        cards = [classifier.card for classifier in repository.ready() if not is_router(classifier)]
        return render_template(
            "page.html",
            choices=_choices(cards),
            coverages=COVERAGES,
            samples=_samples(cards, repository.defaults),
            needs_key=bool(settings.keys_file),
            downloads=settings.allow_download,
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


def _choices(cards: list[ModelCard]) -> tuple[list[ModelCard], list[ModelCard]]:
    """Return the most accurate model of each subject, as a title says it before the first comma, and the others."""
    by_accuracy = sorted(cards, key=lambda card: -card.metrics.accuracy)
    best = {_subject(card): card for card in reversed(by_accuracy)}
    first = sorted((card for card in cards if best[_subject(card)] is card), key=_subject)
    return first, [card for card in cards if card not in first]


def _subject(card: ModelCard) -> str:
    """Return in a word or two what a model knows: Garments. Of own images only the model's name says it."""
    subject = card.title.partition(",")[0]
    return card.name if subject == OWN_IMAGES else subject


def _known(cards: list[ModelCard]) -> str:
    """Return, as text, the subjects that models know, and of own images the first labels; the card lists all."""
    own = [card.title.startswith(OWN_IMAGES) for card in cards]
    known = (card.labels if is_own else [_subject(card).lower()] for card, is_own in zip(cards, own, strict=True))
    names = list(dict.fromkeys(chain.from_iterable(known)))
    more = f" and {len(names) - MAX_KNOWN} more" if len(names) > MAX_KNOWN else ""
    return ", ".join(name if len(name) <= MAX_NAME else f"{name[:MAX_NAME]}…" for name in names[:MAX_KNOWN]) + more


def _samples(cards: list[ModelCard], defaults: Defaults) -> dict[str, list[str]]:
    """Return the drawings that models know, each with the names of these models, or AUTOMATIC."""
    known = {name: [card.name for card in cards if label in card.labels] for name, label in SAMPLES.items() if label}
    known |= {name: sorted({*chain(*known.values())}) for name, label in SAMPLES.items() if not label}
    automatic = {one.card.name for one in (defaults.garments.classifier, defaults.things.classifier) if one}
    return {name: [*names, *([AUTOMATIC] if automatic & {*names} else [])] for name, names in known.items() if names}


def _set_headers(response: Response) -> Response:
    """Set what a page may load, answer 304 to a browser that has this content, and compress text."""
    for name, value in PAGE_HEADERS.items():
        response.headers.setdefault(name, value)
    if response.status_code == HTTPStatus.OK and "ETag" not in response.headers:  # files have theirs
        response.add_etag()
        response.make_conditional(request)
    if response.mimetype in COMPRESSED:
        response.vary.add("Accept-Encoding")
        if response.status_code == HTTPStatus.OK and request.accept_encodings["gzip"]:
            _compress(response)
    return response


def _compress(response: Response) -> None:
    tag, _ = response.get_etag()
    response.direct_passthrough = False
    response.set_data(gzip.compress(response.get_data(), mtime=0))
    response.headers["Content-Encoding"] = "gzip"
    response.set_etag(str(tag), weak=True)  # the same content in other bytes


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
