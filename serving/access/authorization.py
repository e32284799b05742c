"""Which key may do what: the scopes of the calls, and the check of a request's key."""

import hashlib
from functools import lru_cache
from wsgiref.types import WSGIEnvironment

from serving.access.caller import KEY_NAME
from serving.access.key_file import ADMIN, CLASSIFY, METRICS, KeyFile
from serving.errors import NotAllowed, Unauthorised

# Without a slash at the end. The pages may be seen, but asking needs a key; load balancers cannot send one.
OPEN_PATHS = frozenset(
    ("", "/docs", "/openapi.json", "/favicon.ico", "/livez", "/readyz", "/v2/health/live", "/v2/health/ready")
)
OPEN_FOLDER = "/static/"
REPOSITORY = "/v2/repository/"
CHANGES = ("/load", "/unload")
MAX_KEY_LENGTH = 1_024  # of a key that is sent, so that those in the cache are small
NO_KEY = b""  # the digest of what is too long for a key
HOW_TO_SEND = "send Authorization: Bearer KEY, or X-API-Key: KEY"


def scopes_for(path: str) -> tuple[str, ...]:
    """Return the scopes of which a key needs one for this path, existing or not; none where no key is needed."""
    path = f"/{path.strip('/')}".rstrip("/")  # more slashes before it lead to the same call
    if path in OPEN_PATHS or path.startswith(OPEN_FOLDER):
        return ()
    if path == "/metrics":
        return (METRICS,)
    if path.startswith(REPOSITORY):
        return (ADMIN,) if path.endswith(CHANGES) else (CLASSIFY, ADMIN)
    return (CLASSIFY,)


class Authorization:
    """Lets requests pass that have a key of the right scope, and notes the key's name."""

    def __init__(self, keys: KeyFile) -> None:
        self._keys = keys

    def __call__(self, environ: WSGIEnvironment) -> None:
        """Check a request; raises Unauthorised and NotAllowed. OPTIONS, which tells methods only, needs no key."""
        scopes = scopes_for(environ["PATH_INFO"])
        if not scopes or environ["REQUEST_METHOD"] == "OPTIONS":
            return
        kind, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        sent = token.strip() if kind.lower() == "bearer" else "", environ.get("HTTP_X_API_KEY", "").strip()
        digests = [_digest(text) if len(text) <= MAX_KEY_LENGTH else NO_KEY for text in sent if text]
        if not digests:
            raise Unauthorised(f"This service answers with a key only; {HOW_TO_SEND}.")
        key = next(filter(None, map(self._keys.find, digests)), None)
        if key is None:
            raise Unauthorised(f"The key is not one of this service, or has been revoked; {HOW_TO_SEND}.")
        environ[KEY_NAME] = key.name
        if key.scopes.isdisjoint(scopes):
            raise NotAllowed(
                f"The key {key.name!r} has the scope {', '.join(sorted(key.scopes))}; this call needs "
                f"{' or '.join(scopes)}."
            )


@lru_cache(maxsize=1_024)  # to hash a key takes longer than all the rest
def _digest(key: str) -> bytes:
    """Return the SHA-256 of a key, as WSGI gives it."""
    return hashlib.sha256(key.encode("latin-1", "replace")).digest()
