"""The client of a request, and the headers that its answer is to have: kept in WSGI's environ."""

from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network, ip_address
from wsgiref.types import WSGIEnvironment

KEY_NAME = "thimble.key"  # in the environ: the name of the key that was sent
ANSWER_HEADERS_KEY = "thimble.headers"  # in the environ: headers of the answer, whatever it is


def add_headers(environ: WSGIEnvironment, *headers: tuple[str, str]) -> None:
    """Add headers to the answer of a request, also where that is a refusal."""
    environ.setdefault(ANSWER_HEADERS_KEY, []).extend(headers)


def caller_of(environ: WSGIEnvironment) -> str:
    """Return whom a request is counted for: its key's name or, where no key is needed, its address."""
    key: str | None = environ.get(KEY_NAME)
    return f"key {key}" if key else _network_of(environ.get("REMOTE_ADDR", ""))


@lru_cache(maxsize=4_096)
def _network_of(address: str) -> str:
    """Return an IPv4 address, or the /64 network of an IPv6 address: a single customer has all addresses of one."""
    try:
        parsed = ip_address(address)
    except ValueError:  # a Unix socket
        return address
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    return str(parsed.ipv4_mapped or IPv6Network((parsed.packed[:8] + bytes(8), 64)))
