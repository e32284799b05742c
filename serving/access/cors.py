"""Which pages of other origins may ask: cross-origin resource sharing (the Fetch standard, section 3.2)."""

import re
from urllib.parse import urlsplit
from wsgiref.types import WSGIEnvironment

from serving.access.authorization import scopes_for
from serving.access.caller import add_headers
from serving.access.key_file import ADMIN

ANY = "*"
ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#@*\s]+")
DEFAULT_PORTS = {"http": ":80", "https": ":443"}  # browsers leave them out
METHODS = "GET, HEAD, POST"
REQUEST_HEADERS = (
    "Authorization, Content-Encoding, Content-Type, Inference-Header-Content-Length, X-API-Key, X-Request-ID, "
    "traceparent, tracestate"
)
EXPOSED_HEADERS = (
    "ETag, Inference-Header-Content-Length, RateLimit, RateLimit-Policy, Retry-After, Server-Timing, Thimble-Model, "
    "WWW-Authenticate, X-Request-ID"
)
MAX_AGE = "7200"  # seconds that a browser may keep the answer to a preflight; Chromium keeps it no longer
VARY = ("Vary", "Origin")


def parse_origins(text: str) -> frozenset[str]:
    """Parse origins with commas or spaces between them; * is any. Raises ValueError."""
    origins = text.lower().replace(",", " ").split()
    for origin in origins:
        if origin != ANY and not _is_origin(origin):
            raise ValueError(
                f"Expected origins such as https://app.example or *, as browsers send them, got {origin[:120]!r}"
            )
    return frozenset(origin.removesuffix(DEFAULT_PORTS.get(origin.partition(":")[0], " ")) for origin in origins)


def _is_origin(text: str) -> bool:
    try:
        parts = urlsplit(text)
        whole = parts.port is not None or not text.endswith(":")
    except ValueError:  # brackets around what is not an address, or a port that is not a number up to 65535
        return False
    return bool(whole and text.isascii() and ORIGIN.fullmatch(text) and parts.hostname)  # a browser sends xn--...


def hosts_of(origins: frozenset[str]) -> frozenset[str]:
    """Return the names of the hosts of origins."""
    return frozenset(name for origin in origins if (name := urlsplit(origin).hostname))


class Cors:
    """Tells browsers which origins' pages may read the answers, and answers their preflights."""

    def __init__(self, origins: frozenset[str]) -> None:
        self._origins = origins

    def __call__(self, environ: WSGIEnvironment) -> dict[str, str] | None:
        """Add an answer's headers; return those of the answer to a preflight, which has nothing else."""
        origin = environ.get("HTTP_ORIGIN", "")
        if ANY in self._origins:
            allowed = ANY
        else:
            add_headers(environ, VARY)
            allowed = origin if origin in self._origins else ""
        if not origin or not allowed or scopes_for(environ["PATH_INFO"]) == (ADMIN,):  # loading is for no other origin
            return None
        add_headers(environ, ("Access-Control-Allow-Origin", allowed))
        if environ["REQUEST_METHOD"] == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ:
            return {
                "Access-Control-Allow-Methods": METHODS,
                "Access-Control-Allow-Headers": REQUEST_HEADERS,
                "Access-Control-Max-Age": MAX_AGE,
            }
        add_headers(environ, ("Access-Control-Expose-Headers", EXPOSED_HEADERS))
        return None
