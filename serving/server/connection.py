"""A client's connection: requests are read from it one after another, responses written to it (HTTP/1.1, RFC 9112).

llhttp parses the heads, through httptools: a parser in Python takes as long for one as decoding a small image.
"""

import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from socket import SHUT_WR, socket
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

import httptools

MAX_HEAD_BYTES = 65_536  # of a request line and its headers: ample for cookies and tokens
MAX_HEADERS = 100
RECV_BYTES = 65_536
MAX_PIPELINED = 100  # requests that may wait for the responses to those before them
FRAMING_HEADERS = (b"content-length", b"transfer-encoding")
LINGER_TIMEOUT = 5.0  # seconds that a refused client may go on sending, so that it reads the response in the end


class MalformedRequestError(Exception):
    """Not a valid HTTP request; the message says why."""


class BrokenBodyError(OSError):
    """A body ended early, or is malformed."""


class HTTPRequest:
    """A request whose head has arrived; its body is read from the connection when it is asked for."""

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self._body = bytearray()  # the part that has arrived
        self.method, self.version, self.target = "", "1.1", b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.head_complete = False
        self.body_complete = False
        self.keep_alive = True
        self.expects_continue = False  # the client sends the body after "100 Continue"

    def read(self, size: int = -1) -> bytes:
        """Return so many bytes of the body, or all; fewer at its end. Raises BrokenBodyError, and OSError."""
        overhead = 0  # bytes since the body last grew: chunk sizes, extensions, trailers
        while not self.body_complete and (size < 0 or len(self._body) < size):
            if self.expects_continue:
                self.expects_continue = False
                self._connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            before = len(self._body)
            count = self._connection.receive()
            overhead = overhead + count if len(self._body) == before else 0
            if not count or overhead > MAX_HEAD_BYTES:
                self._body.clear()
                raise BrokenBodyError("the body ended early" if not count else "its chunk headers have no end")
            time.sleep(0)  # yield, so that one fast client cannot starve the others
        if 0 <= size < len(self._body):
            data = bytes(memoryview(self._body)[:size])
            del self._body[:size]
        else:
            data = bytes(self._body)
            self._body.clear()
        return data

    def environ(self, base_environ: Mapping[str, Any]) -> dict[str, Any]:
        """Return the WSGI environ (PEP 3333); base_environ: the part that all requests of a connection share."""
        path, query = self._path_and_query()
        environ = {
            **base_environ,
            "REQUEST_METHOD": self.method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "RAW_URI": self.target.decode("latin-1"),
            "SERVER_PROTOCOL": f"HTTP/{self.version}",
            "wsgi.input": self,
        }
        for name, value in self.headers:
            if key := _environ_key(name):
                text = value.decode("latin-1")
                environ[key] = f"{environ[key]},{text}" if key in environ else text
        return environ

    def fault(self) -> str:
        """Return what is wrong with the head, by RFC 9112, sections 3.2 and 6.1; empty for a sound one."""
        names = [name.lower() for name, _ in self.headers]
        codings = b",".join(value for name, value in self.headers if name.lower() == b"transfer-encoding")
        if len(names) > MAX_HEADERS:
            return f"it has more than {MAX_HEADERS} headers"
        if self.version not in ("1.0", "1.1"):
            return f"its version is {self.version}"
        if names.count(b"host") > 1 or (self.version == "1.1" and b"host" not in names):
            return "it must have exactly one Host header"
        if codings and codings.strip().lower() != b"chunked":
            return "its Transfer-Encoding is unsupported; only chunked is supported"
        return ""

    def add(self, chunk: bytes) -> None:
        """Append a part of the body that has arrived."""
        self._body += chunk

    def _path_and_query(self) -> tuple[str, str]:
        """Return path and query of the request target, which may be a whole URL."""
        target = self.target
        if not target.startswith(b"/"):
            try:
                parts = urlsplit(target)
            except ValueError:
                return "", ""
            return unquote_to_bytes(parts.path).decode("latin-1"), parts.query.decode("latin-1")
        path, _, query = target.partition(b"?")
        return (unquote_to_bytes(path) if b"%" in path else path).decode("latin-1"), query.decode("latin-1")


class Connection:
    """Reads requests and sends responses; the parser calls the methods named on_."""

    def __init__(self, client: socket) -> None:
        self._client = client
        self._parser = httptools.HttpRequestParser(self)
        self._requests: deque[HTTPRequest] = deque()  # several where a client does not wait for its responses
        self._last = HTTPRequest(self)  # the one that is being parsed
        self._fault = ""
        self._head_is_replayed = False  # the next head is that of the request before, given to a fresh parser

    def next(self, timeout: float) -> HTTPRequest | None:
        """Return the next request; None where the client has ended. Raises MalformedRequestError, and OSError.

        timeout: seconds for the head to arrive, with the idle time before it.
        """
        deadline, arrived = time.monotonic() + timeout, 0
        while not (self._requests and self._requests[0].head_complete):
            if self._fault or arrived > MAX_HEAD_BYTES:
                raise MalformedRequestError(self._fault or f"its head is longer than {MAX_HEAD_BYTES:,} bytes")
            if (left := deadline - time.monotonic()) <= 0:
                raise TimeoutError
            self._client.settimeout(left)
            count = self.receive()
            if not count:
                return None
            arrived += count
        self._client.settimeout(timeout)
        request = self._requests.popleft()
        if fault := request.fault():
            raise MalformedRequestError(fault)
        return request

    def receive(self) -> int:
        """Read and parse what has arrived, or wait for it; return the number of bytes, 0 at the end or a fault."""
        data = b"" if self._fault else self._client.recv(RECV_BYTES)
        if not data:
            return 0
        try:
            self._feed(data)
        except httptools.HttpParserError as error:
            self._fault = self._fault or str(error)
        return len(data)

    def send(self, data: bytes) -> None:
        """Send all of it; raises OSError."""
        sent = self._client.send(data)
        if sent < len(data):  # seldom; gevent's sendall makes one system call more to find that out first
            self._client.sendall(data[sent:])

    def close(self) -> None:
        """Close it, and break the cycle between this and the parser, which would keep the data in memory."""
        self._requests.clear()
        del self._parser, self._last
        with suppress(OSError):
            self._client.close()

    def linger(self) -> None:
        """Discard what the client goes on to send: closing with unread data would lose the response."""
        deadline = time.monotonic() + LINGER_TIMEOUT
        with suppress(OSError):
            self._client.shutdown(SHUT_WR)
            self._client.settimeout(LINGER_TIMEOUT)
            while self._client.recv(RECV_BYTES) and time.monotonic() < deadline:
                pass

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            self._ignore_upgrade(data[offer.args[0] :])

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Ignore an Upgrade offer: parse the rest with a fresh parser, since this one stops at the head."""
        request = self._last
        self._parser = httptools.HttpRequestParser(self)
        framing = [b": ".join(header) for header in request.headers if header[0].lower() in FRAMING_HEADERS]
        if framing:
            request.body_complete, self._head_is_replayed = False, True
            self._parser.feed_data(b"\r\n".join([b"POST / HTTP/1.1", *framing, b"\r\n"]))
        if rest:
            self._feed(rest)

    def on_message_begin(self) -> None:
        if self._head_is_replayed:
            self._head_is_replayed = False
            return
        if len(self._requests) >= MAX_PIPELINED:
            self._fault = f"{MAX_PIPELINED} requests before it still wait for their responses"
            raise MalformedRequestError(self._fault)
        self._last = HTTPRequest(self)
        self._requests.append(self._last)

    def on_url(self, part: bytes) -> None:
        if not self._last.head_complete:
            self._last.target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._last.head_complete:  # otherwise it is a trailer
            self._last.headers.append((name, value))

    def on_headers_complete(self) -> None:
        request = self._last
        if request.head_complete:
            return
        request.method = self._parser.get_method().decode()
        request.version = self._parser.get_http_version()
        request.keep_alive = self._parser.should_keep_alive()
        expected = (value.lower() for name, value in request.headers if name.lower() == b"expect")
        request.expects_continue = request.version == "1.1" and b"100-continue" in expected
        request.head_complete = True

    def on_body(self, chunk: bytes) -> None:
        self._last.add(chunk)

    def on_message_complete(self) -> None:
        self._last.body_complete = True


@lru_cache(maxsize=256)  # clients send the same few
def _environ_key(name: bytes) -> str:
    """Return a header's WSGI key; empty for one with an underscore, which would pass for another's."""
    if b"_" in name:
        return ""
    key = name.decode("latin-1").upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
