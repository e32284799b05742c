"""gunicorn's gevent worker: requests arrive side by side, and a slow client keeps nobody waiting."""

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

from serving.errors import BadRequest
from serving.server.connection import Connection, Incoming, MalformedRequestError
from serving.server.hooks import REFUSE, TICK

ACCEPTED_AT_ONCE = 4  # connections: with more, one worker would take most of a burst
CLOSING = 1.0  # seconds after SIGTERM in which an idle connection may still bring a request


class Worker(GeventWorker):  # type: ignore[misc]  # gunicorn has no annotations
    """It reads heads with a parser in C, writes each answer in one piece, and closes idle connections in the end."""

    def init_process(self) -> None:
        self.idle: set[gevent.Greenlet] = set()
        super().init_process()

    def run(self) -> None:
        gevent.spawn(self._close_idle_at_the_end)
        super().run()

    def server_class(self, listener: Any, spawn: Any, ssl_context: Any = None, **_: Any) -> StreamServer:
        """Return what accepts connections; gunicorn's own takes one at a time, and a burst of them waits long."""
        encrypted = {"ssl_context": ssl_context} if ssl_context else {}
        server = StreamServer(listener, handle=partial(self.handle, listener), spawn=spawn, **encrypted)
        server.max_accept = ACCEPTED_AT_ONCE
        return server

    def notify(self) -> None:
        super().notify()
        self.wsgi.extensions[TICK]()

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        """Answer the requests of a connection until it ends."""
        client.settimeout(self.cfg.keepalive)  # a client that is silent for longer is gone; one that reads nothing too
        connection = Connection(client)
        around = self._around(listener, client, addr)
        try:
            while self._answer_next(connection, around):
                gevent.sleep(0)  # the turn of the others: a client as fast as this one's would else keep it for itself
        except OSError as error:
            self.log.debug("%s: %s", addr, error)
        finally:
            connection.close()

    def handle_quit(self, sig: int, frame: Any) -> None:
        """End on Ctrl-C as on SIGTERM: gunicorn's way out of a greenlet is a traceback."""
        self.alive = False

    def _around(self, listener: Any, client: Any, addr: Any) -> Mapping[str, Any]:
        """Return what the environment of WSGI says of a connection, the same for all its requests."""
        own, other = listener.getsockname(), addr
        network = isinstance(own, tuple)  # and not a socket in the file system
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

    def _answer_next(self, connection: Connection, around: Mapping[str, Any]) -> bool:
        """Answer one request; return whether there may be another."""
        try:
            request = self._wait_for(connection)
        except MalformedRequestError as error:
            self._refuse(connection, error)
            return False
        return request is not None and self._answer(connection, request, around)

    def _wait_for(self, connection: Connection) -> Incoming | None:
        me = gevent.getcurrent()
        self.idle.add(me)
        try:
            return connection.next(self.cfg.keepalive)
        finally:
            self.idle.discard(me)

    def _answer(self, connection: Connection, request: Incoming, around: Mapping[str, Any]) -> bool:
        started = datetime.now()
        environ, answer = request.environ(around), Answer()
        parts = self.wsgi(environ, answer.start)
        try:
            answer.body = b"".join(parts)
        finally:
            getattr(parts, "close", int)()
        keep = request.keeps and request.whole and self.alive
        connection.send(answer.message(keep, request.method))
        self.log.access(answer, request, environ, datetime.now() - started)
        if not request.whole:
            connection.linger()
        return keep

    def _refuse(self, connection: Connection, error: MalformedRequestError) -> None:
        answer = Answer()
        reply = self.wsgi.extensions[REFUSE](BadRequest(f"This is no request of HTTP/1.1: {error}."))
        answer.body = b"".join(reply.wsgi(answer.start))
        connection.send(answer.message(False))
        connection.linger()

    def _close_idle_at_the_end(self) -> None:
        while self.alive:
            gevent.sleep(CLOSING / 10)
        gevent.sleep(CLOSING)
        while True:
            for waiting in list(self.idle):
                gevent.get_hub().loop.run_callback(self._close, waiting)
            gevent.sleep(CLOSING / 10)

    def _close(self, waiting: gevent.Greenlet) -> None:
        if waiting in self.idle:  # still: since then its request may have come
            waiting.throw(ConnectionAbortedError("idle at the end"))


class Answer:
    """What a WSGI application answers, on its way to a connection."""

    status = ""
    headers: list[tuple[str, str]]
    body = b""

    @property
    def sent(self) -> int:
        """The length of its body, as access logs call it."""
        return len(self.body)

    def start(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        """Take the head, as start_response of WSGI does."""
        self.status, self.headers = status, headers
        return self._write

    def message(self, keep: bool, method: str = "GET") -> bytes:
        """Return the bytes to send, in one piece; keep: the connection stays open for another request."""
        lines = [
            f"HTTP/1.1 {self.status}",
            "Server: thimble",
            *self._date(),
            f"Connection: {'keep-alive' if keep else 'close'}",
            *(f"{name}: {value}" for name, value in self.headers),
            *self._length(),
            "\r\n",
        ]
        head = "\r\n".join(lines)
        if not head.count("\r") == head.count("\n") == len(lines):  # else a value could pass for a header
            raise ValueError(f"a line break in a header: {self.headers}")
        return head.encode("latin-1") + (b"" if method == "HEAD" else self.body)

    def _date(self) -> list[str]:
        """Return the header that says when this was answered, unless the application has said it."""
        return [] if self._says("Date") else [f"Date: {_now(int(time.time()))}"]

    def _length(self) -> list[str]:
        """Return the header that says where the answer ends, unless the application has said it."""
        said = self.status[:3] in ("204", "304") or self._says("Content-Length")
        return [] if said else [f"Content-Length: {len(self.body)}"]

    def _says(self, header: str) -> bool:
        return any(name == header for name, _ in self.headers)

    def _write(self, data: bytes) -> None:
        self.body += data


@lru_cache(maxsize=1)
def _now(second: int) -> str:
    return formatdate(second, usegmt=True)
