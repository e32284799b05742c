"""gunicorn's gevent worker: requests arrive side by side, and a slow client keeps nobody waiting."""

import errno
import time
from datetime import datetime
from email.utils import formatdate
from functools import lru_cache, partial
from types import TracebackType
from typing import Any, Self

import gevent
from gevent.server import StreamServer
from gunicorn.http import wsgi
from gunicorn.workers.ggevent import GeventWorker

from serving.ticks import TICK

ACCEPTED_AT_ONCE = 4  # connections: with more, one worker would take most of a burst
SEND_SECONDS = 30.0  # that a client may take to read an answer
LINGER = 1.0  # seconds after SIGTERM in which an idle connection may still bring a request


class Worker(GeventWorker):  # type: ignore[misc]  # gunicorn has no annotations
    """It writes each answer in one piece, and closes idle connections when it is to stop."""

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

    def timeout_ctx(self) -> "Idle":
        return Idle(self.idle, self.cfg.keepalive)

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        """Answer one request: gunicorn's own way, without the hooks that nothing here uses."""
        started = datetime.now()
        response, environ = wsgi.create(req, sock, addr, listener_name, self.cfg, response_class=Whole)
        if not self.alive:
            response.force_close()
        parts = self.wsgi(environ, response.start_response)
        try:
            for part in parts:
                response.write(part)
            response.close()
        finally:
            if hasattr(parts, "close"):
                parts.close()
        self.log.access(response, req, environ, datetime.now() - started)
        if response.should_close():
            raise StopIteration  # gunicorn's own word for a connection that is done

    def handle_quit(self, sig: int, frame: Any) -> None:
        """End on Ctrl-C as on SIGTERM: gunicorn's way out of a greenlet is a traceback."""
        self.alive = False

    def _close_idle_at_the_end(self) -> None:
        while self.alive:
            gevent.sleep(LINGER / 10)
        gevent.sleep(LINGER)
        while True:
            for waiting in list(self.idle):
                gevent.get_hub().loop.run_callback(self._close, waiting)
            gevent.sleep(LINGER / 10)

    def _close(self, waiting: gevent.Greenlet) -> None:
        if waiting in self.idle:  # still: since then its request may have come
            waiting.throw(StopIteration)


class Idle:
    """While a connection waits for the next request, and until the head of that has arrived."""

    def __init__(self, idle: set[gevent.Greenlet], seconds: float) -> None:
        self._idle = idle
        self._timeout = gevent.Timeout(seconds, False)  # False: it ends the block and raises nothing

    def __enter__(self) -> Self:
        self._me = gevent.getcurrent()
        self._idle.add(self._me)
        gevent.sleep(0)  # the turn of the others: a client as fast as this one's would else keep it for itself
        self._timeout.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        self._timeout.cancel()
        self._idle.discard(self._me)
        return error is self._timeout


class Whole(wsgi.Response):  # type: ignore[misc]
    """An answer whose head leaves together with its body."""

    headers_sent: bool
    _head = b""

    def send_headers(self) -> None:
        if not self.headers_sent:
            lines = [*self.default_headers(), *(f"{name}: {value}\r\n" for name, value in self.headers), "\r\n"]
            self._head = "".join(lines).encode("latin-1")
            self.headers_sent = True

    def default_headers(self) -> list[str]:
        """Return the lines of the head that are the server's; the application sets none of them."""
        major, minor = self.req.version
        return [
            f"HTTP/{major}.{minor} {self.status}\r\n",
            f"Server: {self.version}\r\n",
            f"Date: {_date(int(time.time()))}\r\n",
            f"Connection: {'close' if self.should_close() else 'keep-alive'}\r\n",
            *(["Transfer-Encoding: chunked\r\n"] if self.chunked else []),
        ]

    def close(self) -> None:
        self.send_headers()
        self._flush()
        super().close()

    def _emit_body(self, data: bytes) -> None:
        if self.chunked:
            self._flush()
            super()._emit_body(data)
        else:
            self._flush(data)

    def _flush(self, data: bytes = b"") -> None:
        head, self._head = self._head, b""
        if head or data:
            with gevent.Timeout(SEND_SECONDS, TimeoutError(errno.ECONNRESET, "the client does not read its answer")):
                self.sock.sendall(head + data)


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)
