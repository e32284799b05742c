"""The middleware that decides whether a request is answered at all, before its body is read."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import Response

from serving.errors import Refusal

# Raises Refusal, or returns the headers of an answer without a body, or None to have the request answered.
Check = Callable[[WSGIEnvironment], Mapping[str, str] | None]


class Gate:
    """A WSGI application around another: each request passes all checks in order."""

    def __init__(
        self,
        application: WSGIApplication,
        checks: Sequence[Check],
        refuse: Callable[[WSGIEnvironment, Refusal], Response],
    ) -> None:
        """refuse: writes the refusal of a request, in the form that its client reads."""
        self._application = application
        self._checks = checks
        self._refuse = refuse

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer as the application does, or as a check does."""
        try:
            for check in self._checks:
                headers = check(environ)
                if headers is not None:
                    start_response("204 No Content", [*headers.items()])
                    return []
        except Refusal as refusal:
            return self._refuse(environ, refusal)(environ, start_response)
        return self._application(environ, start_response)
