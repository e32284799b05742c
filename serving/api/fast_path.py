"""A path past Flask's dispatch for the one call whose speed counts."""

import logging
from collections.abc import Callable, Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from serving.api.html_replies import is_browser_form
from serving.api.replies import ProblemReplies, Reply
from serving.errors import InternalError, Refusal

log = logging.getLogger(__name__)


class FastPath:
    """A WSGI application that answers one call itself: Flask's dispatch would cost several times the decoding."""

    def __init__(
        self,
        application: WSGIApplication,
        method: str,
        path: str,
        view: Callable[[WSGIEnvironment], Reply],
        problems: ProblemReplies,
    ) -> None:
        """application: answers all other calls."""
        self._application = application
        self._method, self._path = method, path
        self._view = view
        self._problems = problems

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer as a WSGI application; a slash at the end of the path changes nothing."""
        path = environ["PATH_INFO"]
        if path.endswith("/") and not path.endswith("//") and path != "/":
            environ["PATH_INFO"] = path = path[:-1]
        if path != self._path or environ["REQUEST_METHOD"] != self._method or is_browser_form(environ):
            return self._application(environ, start_response)
        try:
            reply = self._view(environ)
        except Refusal as refusal:
            reply = self._problems.reply(refusal)
        except Exception:  # as Flask does for all other calls
            log.exception("%s %s", self._method, self._path)
            reply = self._problems.reply(InternalError())
        return reply.wsgi(start_response)
