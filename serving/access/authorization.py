"""Which key may do what: the scopes of the calls, and the check of a request's key."""

import hashlib
from functools import lru_cache

from serving.access.caller import KEY_NAME, Environ
from serving.access.key_file import ADMIN, CLASSIFY, METRICS, KeyFile
from serving.errors import NotAllowed, Unauthorised

# Without a slash at the end. The pages may be seen, but asking needs a key; load balancers cannot send one.
OPEN_PATHS = frozenset(
    ("", "/docs", "/openapi.json", "/favicon.ico", "/livez", "/readyz", "/v2/health/live", "/v2/health/ready")
)
OPEN_FOLDER = "/static/"
REPOSITORY = "/v2/repository/"
CHANGES = ("/load", "/unload")
MAX_LENGTH = 1_024  # of the headers with a key, so that those in the cache are small
NO_KEY = b""  # the digest of what is too long for a key
HOW_TO_SEND = "send Authorization: Bearer KEY, or X-API-Key: KEY"


@lru_cache(maxsize=1_024)  # clients ask for the same few
def scopes_for(path: str) -> tuple[str, ...]:
    """Return the scopes of which a key needs one for this path, existing or not; none where no key is needed."""
    path = path.rstrip("/")
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

    def __call__(self, environ: Environ) -> None:
        """Check a request; raises Unauthorised and NotAllowed. OPTIONS, which tells methods only, needs no key."""
        scopes = scopes_for(environ["PATH_INFO"])
        if not scopes or environ["REQUEST_METHOD"] == "OPTIONS":
            return
        sent = environ.get("HTTP_AUTHORIZATION", ""), environ.get("HTTP_X_API_KEY", "")
        digest = _sent_digest(*sent) if len(sent[0]) + len(sent[1]) <= MAX_LENGTH else NO_KEY
        if digest is None:
            raise Unauthorised(f"This service answers with a key only; {HOW_TO_SEND}.")
        key = self._keys.find(digest)
        if key is None:
            raise Unauthorised(f"The key is not one of this service, or has been revoked; {HOW_TO_SEND}.")
        environ[KEY_NAME] = key.name
        if key.scopes.isdisjoint(scopes):
            raise NotAllowed(
                f"The key {key.name!r} has the scope {', '.join(sorted(key.scopes))}; this call needs "
                f"{' or '.join(scopes)}."
            )


@lru_cache(maxsize=1_024)  # to hash a key takes longer than all the rest
def _sent_digest(authorization: str, api_key: str) -> bytes | None:
    """Return the SHA-256 of the key in these headers, as WSGI gives them; None where there is none."""
    kind, _, text = authorization.partition(" ")
    key = (text if kind.lower() == "bearer" else api_key).strip()
    return hashlib.sha256(key.encode("latin-1", "replace")).digest() if key else None
