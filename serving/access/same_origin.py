"""Keep the pages of other origins from changing models, also where their name is made to lead here (DNS rebinding)."""

import socket
from ipaddress import ip_address
from urllib.parse import urlsplit
from wsgiref.types import WSGIEnvironment

from serving.errors import NotAllowed

SAME = ("same-origin", "none")  # values of Sec-Fetch-Site: this service's own page, or a person


class SameOrigin:
    """Refuses requests that a page of another origin may have sent."""

    def __init__(self, hosts: frozenset[str], needs_key: bool) -> None:
        """hosts: names of this service beside the machine's own. needs_key: a rebound page has none to send."""
        self._hosts = hosts | {"localhost", socket.gethostname().lower()}
        self._needs_key = needs_key

    def check(self, environ: WSGIEnvironment) -> None:
        """Raise NotAllowed for a request of another origin's page, or for a host that may be an attacker's name."""
        host, origin = environ.get("HTTP_HOST", "").lower(), environ.get("HTTP_ORIGIN")
        other = origin is not None and origin.lower().partition("://")[2] != host
        if other or environ.get("HTTP_SEC_FETCH_SITE", "none") not in SAME:
            raise NotAllowed("A page of another origin may not load or unload models.")
        if not self._needs_key and not self._is_own(host):
            raise NotAllowed(
                f"The Host {host[:120]!r} is not a known name of this service, so this may be another site's page; use "
                "its address, or name its origin in THIMBLE_ALLOWED_ORIGINS, or use keys (THIMBLE_KEYS_FILE)."
            )

    def _is_own(self, host: str) -> bool:
        """Whether a host is this service's name or any address: no foreign site's name is an address."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if not name or name in self._hosts or name.endswith(".localhost"):
            return True
        try:
            ip_address(name)
        except ValueError:
            return False
        return True
