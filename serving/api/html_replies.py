"""HTML replies to browsers: the answers to a form that was sent without JavaScript, and refusals."""

from http import HTTPStatus
from wsgiref.types import WSGIEnvironment

import msgspec
from flask import Response, render_template
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from serving.api.replies import JSON, PROBLEM, Reply
from serving.errors import NotAllowed, Refusal, Unauthorised

HTML, XHTML = "text/html", "application/xhtml+xml"
FORM_WITH_FILES = "multipart/form-data"
ADVICE = {  # where a refusal tells a program what to do, which a form cannot
    Unauthorised.code: "A form cannot send a key. Turn on JavaScript: the page then asks for the key, and sends it "
    "with each picture.",
    NotAllowed.code: "Ask whoever runs this service for a key that may classify.",
}
PAGE_HEADERS = {
    # blob: is the image that a person picked, data: the images in an answer.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob: data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'",
    "Cache-Control": "no-cache",  # revalidated each time, with 304 while it is the same
}


def prefers_page(environ: WSGIEnvironment) -> bool:
    """Whether the client of a request is a browser that shows a page, rather than a program.

    Programs may prefer HTML without knowing it, as those of Java do by default. Browsers say that they navigate, except
    old ones and where the service has no TLS; and all of them name XHTML.
    """
    header = environ.get("HTTP_ACCEPT", "")
    if HTML not in header or environ.get("HTTP_SEC_FETCH_MODE", "navigate") != "navigate":
        return False
    accept = parse_accept_header(header, MIMEAccept)
    if accept.best_match((PROBLEM, JSON, HTML)) != HTML:
        return False
    return XHTML in accept.values() or not accept[JSON]


def is_browser_form(environ: WSGIEnvironment) -> bool:
    """Whether a request is a form with files that a browser sent without JavaScript."""
    return environ.get("CONTENT_TYPE", "").lower().startswith(FORM_WITH_FILES) and prefers_page(environ)


def not_found_page(detail: str) -> Response:
    """Return the page about an unknown path, with the way to those that exist."""
    return _page("not_found.html", HTTPStatus.NOT_FOUND, detail=detail)


def answers_page(reply: Reply) -> Response:
    """Return the page of the predictions in a reply."""
    page = _page("answers.html", HTTPStatus.OK, items=msgspec.json.decode(reply.body)["predictions"])
    page.headers.extend(reply.headers)
    return page


def refusal_page(refusal: Refusal) -> Response:
    """Return the page of a refused form."""
    item = {"error": refusal.problem(), "advice": ADVICE.get(refusal.code)}
    page = _page("answers.html", refusal.status, items=[item])
    page.headers.extend(refusal.headers())
    return page


def _page(template: str, status: int, **values: object) -> Response:
    response = Response(render_template(template, **values), status, mimetype=HTML)
    response.headers.update(PAGE_HEADERS)
    response.vary.add("Accept")
    return response
