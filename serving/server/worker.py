"""gunicorn's gevent worker: requests arrive concurrently, and a slow client delays no other."""

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from email.utils import formatdate
from functools import lru_cache, partial
from ssl import SSLSocket
from typing import Any

import gevent
from gevent.server import StreamServer
from gunicorn.http.wsgi import base_environ
from gunicorn.workers.ggevent import GeventWorker

from serving.lifecycle import Lifecycle
from serving.server.connection import Connection, HTTPRequest, MalformedRequestError

MAX_ACCEPT = 4  # connections accepted in one turn: with more, one worker would take most of a burst
CLOSE_DELAY = 1.0  # seconds after SIGTERM in which an idle connection may still bring a request


class Worker(GeventWorker):  # type: ignore[misc]  # gunicorn has no annotations
    """Parses heads in C, sends each response in one piece, and closes idle connections at shutdown."""

    def init_process(self) -> None:
        self.idle: set[gevent.Greenlet] = set()
        super().init_process()

    def run(self) -> None:
        gevent.spawn(self._close_idle_at_shutdown)
        super().run()

    def server_class(self, listener: Any, spawn: Any, ssl_context: Any = None, **_: Any) -> StreamServer:
        """Return the server that accepts connections; gunicorn's own accepts one in a turn, so a burst waits long."""
        encrypted = {"ssl_context": ssl_context} if ssl_context else {}
        server = StreamServer(listener, handle=partial(self.handle, listener), spawn=spawn, **encrypted)
        server.max_accept = MAX_ACCEPT
        return server

    def notify(self) -> None:
        super().notify()
        Lifecycle.of(self.wsgi).tick()

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        """Answer the requests of a connection until it ends."""
        client.settimeout(self.cfg.keepalive)  # of silence, and of a client that does not read its response
        connection = Connection(client)
        shared_environ = self._base_environ(listener, client, addr)
        try:
            while self._answer_next(connection, shared_environ):
                gevent.sleep(0)  # yield, so that one fast client cannot starve the others
        except OSError as error:
            self.log.debug("%s: %s", addr, error)
        finally:
            connection.close()

    def handle_quit(self, sig: int, frame: Any) -> None:
        """Stop on Ctrl-C as on SIGTERM: in a greenlet, gunicorn's own handler ends in a traceback."""
        self.alive = False

    def _base_environ(self, listener: Any, client: Any, addr: Any) -> Mapping[str, Any]:
        """Return the part of the WSGI environ that all requests of a connection share."""
        own, other = listener.getsockname(), addr
        network = isinstance(own, tuple)  # otherwise a Unix socket
        return {
            **base_environ(self.cfg),
            "SCRIPT_NAME": "",
            "SERVER_NAME": own[0] if network else own,
            "SERVER_PORT": str(own[1]) if network else "",
            "REMOTE_ADDR": other[0] if network else "",
            "REMOTE_PORT": str(other[1]) if network else "",
            "wsgi.url_scheme": "https" if isinstance(client, SSLSocket) else "http",
            "gunicorn.socket": client,
        }

    def _answer_next(self, connection: Connection, shared_environ: Mapping[str, Any]) -> bool:
        """Answer one request; return whether there may be another."""
        try:
            request = self._wait_for(connection)
        except MalformedRequestError as error:
            self._refuse(connection, error)
            return False
        return request is not None and self._answer(connection, request, shared_environ)

    def _wait_for(self, connection: Connection) -> HTTPRequest | None:
        greenlet = gevent.getcurrent()
        self.idle.add(greenlet)
        try:
            return connection.next(self.cfg.keepalive)
        finally:
            self.idle.discard(greenlet)

    def _answer(self, connection: Connection, request: HTTPRequest, shared_environ: Mapping[str, Any]) -> bool:
        started = datetime.now()
        environ, response = request.environ(shared_environ), HTTPResponse()
        parts = self.wsgi(environ, response.start)
        try:
            response.body = b"".join(parts)
        finally:
            getattr(parts, "close", int)()
        keep_alive = request.keep_alive and request.body_complete and self.alive
        connection.send(response.message(keep_alive, request.method))
        self.log.access(response, request, environ, datetime.now() - started)
        if not request.body_complete:
            connection.linger()
        return keep_alive

    def _refuse(self, connection: Connection, error: MalformedRequestError) -> None:
        response = HTTPResponse()
        response.body = b"".join(Lifecycle.of(self.wsgi).malformed(str(error), response.start))
        connection.send(response.message(keep_alive=False))
        connection.linger()

    def _close_idle_at_shutdown(self) -> None:
        while self.alive:
            gevent.sleep(CLOSE_DELAY / 10)
        gevent.sleep(CLOSE_DELAY)
        while True:
            for greenlet in list(self.idle):
                gevent.get_hub().loop.run_callback(self._close, greenlet)
            gevent.sleep(CLOSE_DELAY / 10)

    def _close(self, greenlet: gevent.Greenlet) -> None:
        if greenlet in self.idle:  # still: its request may have come since
            greenlet.throw(ConnectionAbortedError("idle at shutdown"))


class HTTPResponse:
    """A WSGI application's response, on its way to a connection."""

    status = ""
    headers: list[tuple[str, str]]
    body = b""

    @property
    def sent(self) -> int:
        """The length of the body; gunicorn's access log reads this name."""
        return len(self.body)

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        """Take status and headers; this is WSGI's start_response."""
        self.status, self.headers = status, headers
        return self._write

    def message(self, keep_alive: bool, method: str = "GET") -> bytes:
        """Return the bytes to send; keep_alive: the connection stays open for another request."""
        lines = [
            f"HTTP/1.1 {self.status}",
            "Server: thimble",
            *self._date(),
            f"Connection: {'keep-alive' if keep_alive else 'close'}",
            *(f"{name}: {value}" for name, value in self.headers),
            *self._content_length(),
            "\r\n",
        ]
        head = "\r\n".join(lines)
        if not head.count("\r") == head.count("\n") == len(lines):  # otherwise a value could pass for a header
            raise ValueError(f"a line break in a header: {self.headers}")
        return head.encode("latin-1") + (b"" if method == "HEAD" else self.body)

    def _date(self) -> list[str]:
        """Return the Date header, unless the application has set it."""
        return [] if self._has("Date") else [f"Date: {_http_date(int(time.time()))}"]

    def _content_length(self) -> list[str]:
        """Return the Content-Length header, unless the application has set it or the status forbids it."""
        omitted = self.status[:3] in ("204", "304") or self._has("Content-Length")
        return [] if omitted else [f"Content-Length: {len(self.body)}"]

    def _has(self, header: str) -> bool:
        return any(name == header for name, _ in self.headers)

    def _write(self, data: bytes) -> None:
        self.body += data


@lru_cache(maxsize=1)
def _http_date(second: int) -> str:
    return formatdate(second, usegmt=True)
