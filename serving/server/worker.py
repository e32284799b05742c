"""gunicorn's gevent worker: requests arrive concurrently, and a slow client delays no other."""

import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from functools import cache, partial
from importlib import metadata
from operator import attrgetter
from ssl import SSLSocket
from typing import Any

import gevent
from gevent.server import StreamServer
from gunicorn.http.wsgi import base_environ
from gunicorn.workers.ggevent import GeventWorker

from serving.concurrency import Turn
from serving.lifecycle import Lifecycle
from serving.server.connection import HEAD_TIMEOUT, Connection, MalformedRequestError, UnknownMethodError
from serving.server.request import HTTPRequest
from serving.server.response import HTTPResponse
from serving.server.shared_folder import restore_shared_folder

log = logging.getLogger(__name__)

MAX_ACCEPT = 4  # connections accepted in one turn: with more, one worker would take most of a burst
CLOSE_DELAY = 1.0  # seconds after SIGTERM in which an idle connection may still bring a request
FIRST_REQUEST_DELAY = 5.0  # the same, where it has brought none yet; Docker kills after ten
HANDSHAKE_DELAY = 0.5  # seconds after SIGTERM in which connections arrive whose handshake had begun
DRAIN_TIMEOUT = 5.0  # seconds to accept those that had connected when the service was told to stop

LOST_COUNTS = (
    "the folder that the workers share was removed, and is made again; /metrics lacks what they count: send SIGHUP to "
    "gunicorn's master, which replaces them"
)


class Listener(StreamServer):  # type: ignore[misc]  # gevent has no annotations
    """Accepts connections; before it closes, also those that wait in the listen queue: the kernel would reset them.

    If the whole service stops, the master has kept new ones out by then (syn_filter.py).
    """

    max_accept = MAX_ACCEPT  # gunicorn sets 1, with which a burst waits long

    def close(self) -> None:
        gevent.sleep(HANDSHAKE_DELAY)
        with suppress(OSError):
            self._drain()
        super().close()

    def _drain(self) -> None:
        deadline = time.monotonic() + DRAIN_TIMEOUT
        while self.started and time.monotonic() < deadline:
            if self.full():
                gevent.sleep(0.01)
            elif waiting := self.do_read():
                self.do_handle(*waiting)
            else:
                break

    def wrap_socket_and_handle(self, client: Any, address: Any) -> Any:
        """Handle a connection with TLS; its handshake must not wait for ever, and any stranger can have it fail."""
        client.settimeout(HEAD_TIMEOUT)
        try:
            encrypted = self.wrap_socket(client, **self.ssl_args)
        except OSError as error:
            log.debug("%s: the TLS handshake failed: %s", address, error)
            return None
        with encrypted:
            return self.handle(encrypted, address)


class Worker(GeventWorker):  # type: ignore[misc]  # gunicorn has no annotations
    """Parses heads in C, sends each response in one piece, and closes idle connections at shutdown or when full."""

    def init_process(self) -> None:
        self.connections: set[Connection] = set()
        super().init_process()

    def patch(self) -> None:
        """Make Python's blocking calls yield to other greenlets."""
        found = metadata.entry_points
        metadata.entry_points = cache(found)  # type: ignore[assignment]  # gevent looks for plugins 25 times, each time in all packages
        super().patch()
        metadata.entry_points = found

    def run(self) -> None:
        gevent.get_hub().print_exception = self._log_exception
        gevent.spawn(self._close_idle_at_shutdown)
        super().run()

    def server_class(self, listener: Any, spawn: Any, ssl_context: Any = None, **_: Any) -> StreamServer:
        """Return the server that accepts connections."""
        encrypted = {"ssl_context": ssl_context} if ssl_context else {}
        server_address = listener.getsockname()  # now: the last connections are handled after it has been closed
        return Listener(listener, handle=partial(self.handle, server_address), spawn=spawn, **encrypted)

    def notify(self) -> None:
        super().notify()
        self._make_room()
        if restore_shared_folder():  # before it is written to
            self.log.error(LOST_COUNTS)
        Lifecycle.of(self.wsgi).tick()

    def handle(self, server_address: Any, client: Any, addr: Any) -> None:
        """Answer the requests of a connection until it ends; server_address, addr: of its two ends."""
        client.settimeout(self.cfg.keepalive)  # of silence, and of a client that does not read its response
        connection = Connection(client)
        self.connections.add(connection)
        self._make_room()
        shared_environ, turn = self._base_environ(server_address, client, addr), Turn()
        try:
            while self._answer_next(connection, shared_environ):
                gevent.sleep(0)  # yield, so that one fast client cannot starve the others
                if connection.has_next:
                    turn.end_if_long()
        except OSError as error:
            self.log.debug("%s: %s", addr, error)
        finally:
            self.connections.discard(connection)
            connection.close()

    def handle_quit(self, sig: int, frame: Any) -> None:
        """Stop on Ctrl-C as on SIGTERM: in a greenlet, gunicorn's own handler ends in a traceback."""
        self.alive = False

    def _base_environ(self, server_address: Any, client: Any, addr: Any) -> Mapping[str, Any]:
        """Return the part of the WSGI environ that all requests of a connection share."""
        network = isinstance(server_address, tuple)  # otherwise a Unix socket
        return {
            **base_environ(self.cfg),
            "SCRIPT_NAME": "",
            "SERVER_NAME": server_address[0] if network else server_address,
            "SERVER_PORT": str(server_address[1]) if network else "",
            "REMOTE_ADDR": addr[0] if network else "",
            "REMOTE_PORT": str(addr[1]) if network else "",
            "wsgi.url_scheme": "https" if isinstance(client, SSLSocket) else "http",
            "gunicorn.socket": client,
        }

    def _answer_next(self, connection: Connection, shared_environ: Mapping[str, Any]) -> bool:
        """Answer one request; return whether there may be another."""
        try:
            request = connection.next(self.cfg.keepalive)
        except MalformedRequestError as error:
            self._refuse(connection, error)
            return False
        return request is not None and self._answer(connection, request, shared_environ)

    def _answer(self, connection: Connection, request: HTTPRequest, shared_environ: Mapping[str, Any]) -> bool:
        started = time.perf_counter()
        environ, response = request.environ(shared_environ), HTTPResponse()
        parts = self.wsgi(environ, response.start)
        try:
            response.body = b"".join(parts)
            keep_alive = request.keep_alive and request.body_complete and self.alive
            connection.send(response.message(keep_alive, request.method))
        finally:
            if hasattr(parts, "close"):  # what the response holds may go only now
                parts.close()
        self.log.access(response, request, environ, timedelta(seconds=time.perf_counter() - started))
        if not request.body_complete:
            connection.linger()
        return keep_alive

    def _refuse(self, connection: Connection, error: MalformedRequestError) -> None:
        response, lifecycle = HTTPResponse(), Lifecycle.of(self.wsgi)
        refuse = lifecycle.unknown_method if isinstance(error, UnknownMethodError) else lifecycle.malformed
        response.body = b"".join(refuse(str(error), error.target.decode("latin-1"), response.start))
        connection.send(response.message(keep_alive=False))
        connection.linger()

    def _make_room(self) -> None:
        """When this worker is full, give up the client that has been silent for longest, so that another gets in."""
        if len(self.connections) < self.worker_connections:
            return
        if waiting := [connection for connection in self.connections if connection.waiting_since is not None]:
            min(waiting, key=attrgetter("waiting_since")).give_up()

    def _close_idle_at_shutdown(self) -> None:
        while self.alive:
            gevent.sleep(CLOSE_DELAY / 10)
        gevent.sleep(CLOSE_DELAY)
        while True:
            for connection in self.connections:
                if connection.idle_for(CLOSE_DELAY, FIRST_REQUEST_DELAY):
                    connection.give_up()
            gevent.sleep(CLOSE_DELAY / 10)

    def _log_exception(self, context: Any, kind: Any, error: Any, trace: Any) -> None:
        """Log what ended a greenlet as one record; gevent itself prints a line for each line of the traceback."""
        self.log.error("%s failed", context, exc_info=(kind, error, trace))
