"""A client's connection: requests read off it one after another, answers written to it (HTTP/1.1, RFC 9112).

llhttp reads the heads, by way of httptools: a parser in Python takes as long for one as decoding a small image does.
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

HEAD_BYTES = 65_536  # of a request line and its headers: ample for cookies and tokens
HEADERS = 100
AT_ONCE = 65_536  # bytes that are read from a connection
PIPELINED = 100  # requests that may wait for the answers to those before them
FRAMING = (b"content-length", b"transfer-encoding")  # the headers that say where a body ends
LINGER = 5.0  # seconds in which a client that was refused may go on sending, to read its answer in the end


class MalformedRequestError(Exception):
    """What arrived is no HTTP request; the message says why."""


class BrokenBodyError(OSError):
    """A body that ended before it was whole, or is malformed."""


class Incoming:
    """A request of which the head has arrived; its body is read from the connection when it is asked for."""

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self._body = bytearray()  # as far as it has arrived
        self.method, self.version, self.target = "", "1.1", b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.begun = False  # its head is here
        self.whole = False  # its last byte is here
        self.keeps = True  # the client wants to ask more on this connection
        self.waits = False  # for a word that it may send its body

    def read(self, size: int = -1) -> bytes:
        """Return so many bytes of the body, or all; fewer at its end. Raises BrokenBodyError, and OSError."""
        beside = 0  # bytes that arrived and are no body: sizes of chunks, trailers
        while not self.whole and (size < 0 or len(self._body) < size):
            if self.waits:
                self.waits = False
                self._connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            before = len(self._body)
            count = self._connection.receive()
            beside = beside + count if len(self._body) == before else 0
            if not count or beside > HEAD_BYTES:
                self._body.clear()
                raise BrokenBodyError("the body broke off" if not count else "there is no end to what is no body")
            time.sleep(0)  # the turn of the others, whom a fast client would else keep waiting
        if 0 <= size < len(self._body):
            data = bytes(memoryview(self._body)[:size])
            del self._body[:size]
        else:
            data = bytes(self._body)
            self._body.clear()
        return data

    def environ(self, around: Mapping[str, Any]) -> dict[str, Any]:
        """Return the environment of WSGI (PEP 3333), around being what is the same for all requests."""
        path, query = self._address()
        environ = {
            **around,
            "REQUEST_METHOD": self.method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "RAW_URI": self.target.decode("latin-1"),
            "SERVER_PROTOCOL": f"HTTP/{self.version}",
            "wsgi.input": self,
        }
        for name, value in self.headers:
            if key := _key(name):
                text = value.decode("latin-1")
                environ[key] = f"{environ[key]},{text}" if key in environ else text
        return environ

    def fault(self) -> str:
        """Return what is wrong with the head, by RFC 9112, sections 3.2 and 6.1; nothing where it is sound."""
        names = [name.lower() for name, _ in self.headers]
        codings = b",".join(value for name, value in self.headers if name.lower() == b"transfer-encoding")
        if len(names) > HEADERS:
            return f"it has more than {HEADERS} headers"
        if self.version not in ("1.0", "1.1"):
            return f"its version is {self.version}"
        if names.count(b"host") > 1 or (self.version == "1.1" and b"host" not in names):
            return "it must have one Host header"
        if codings and codings.strip().lower() != b"chunked":
            return "its Transfer-Encoding is not chunked, which is all that is undone"
        return ""

    def _address(self) -> tuple[str, str]:
        """Return path and query, of a whole URL as well."""
        target = self.target
        if not target.startswith(b"/"):
            try:
                parts = urlsplit(target)
            except ValueError:
                return "", ""
            return unquote_to_bytes(parts.path).decode("latin-1"), parts.query.decode("latin-1")
        path, _, query = target.partition(b"?")
        return (unquote_to_bytes(path) if b"%" in path else path).decode("latin-1"), query.decode("latin-1")

    def add(self, chunk: bytes) -> None:
        """Take a piece of the body that arrived."""
        self._body += chunk


class Connection:
    """Reads requests and sends answers; the methods named on_ are called by the parser."""

    def __init__(self, client: socket) -> None:
        self._client = client
        self._parser = httptools.HttpRequestParser(self)
        self._requests: deque[Incoming] = deque()  # more than one where a client doesn't wait for its answers
        self._last = Incoming(self)  # the one that is being read
        self._fault = ""
        self._repeats = False  # the head that comes is that of the request before, once more

    def next(self, seconds: float) -> Incoming | None:
        """Return the next request, None where the client is done; raises MalformedRequestError, and OSError.

        seconds: that its head may take to arrive, the idle time before it included.
        """
        due, arrived = time.monotonic() + seconds, 0
        while not (self._requests and self._requests[0].begun):
            if self._fault or arrived > HEAD_BYTES:
                raise MalformedRequestError(self._fault or f"its head is longer than {HEAD_BYTES:,} bytes")
            if (left := due - time.monotonic()) <= 0:
                raise TimeoutError
            self._client.settimeout(left)
            count = self.receive()
            if not count:
                return None
            arrived += count
        self._client.settimeout(seconds)
        request = self._requests.popleft()
        if fault := request.fault():
            raise MalformedRequestError(fault)
        return request

    def receive(self) -> int:
        """Read what has arrived, or wait for it; return the number of bytes, 0 where no more of use will come."""
        data = b"" if self._fault else self._client.recv(AT_ONCE)
        if not data:
            return 0
        try:
            self._feed(data)
        except httptools.HttpParserError as error:
            self._fault = self._fault or str(error)
        return len(data)

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:  # of a protocol that isn't spoken here: it is answered in this one
            self._pass_over(data[offer.args[0] :])

    def _pass_over(self, rest: bytes) -> None:
        """Go on behind a head that offers another protocol, where the parser takes the body for that: with another."""
        request = self._last
        self._parser = httptools.HttpRequestParser(self)
        if framing := [b": ".join(header) for header in request.headers if header[0].lower() in FRAMING]:
            request.whole, self._repeats = False, True
            self._parser.feed_data(b"\r\n".join([b"POST / HTTP/1.1", *framing, b"\r\n"]))
        if rest:
            self._feed(rest)

    def send(self, data: bytes) -> None:
        """Send all of it; raises OSError."""
        sent = self._client.send(data)
        if sent < len(data):  # seldom; gevent's sendall takes a call to the system more, to know this before
            self._client.sendall(data[sent:])

    def close(self) -> None:
        """Close it, and let go of what has arrived: this and the parser hold on to each other."""
        self._requests.clear()
        del self._parser, self._last
        with suppress(OSError):
            self._client.close()

    def linger(self) -> None:
        """Drop what a client goes on to send: were it left unread, the end of the connection would take its answer."""
        due = time.monotonic() + LINGER
        with suppress(OSError):
            self._client.shutdown(SHUT_WR)
            self._client.settimeout(LINGER)
            while self._client.recv(AT_ONCE) and time.monotonic() < due:
                pass

    def on_message_begin(self) -> None:
        if self._repeats:
            self._repeats = False
            return
        if len(self._requests) >= PIPELINED:
            self._fault = f"{PIPELINED} requests wait for their answers already"
            raise MalformedRequestError(self._fault)
        self._last = Incoming(self)
        self._requests.append(self._last)

    def on_url(self, part: bytes) -> None:
        if not self._last.begun:
            self._last.target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        request = self._last
        if request.begun:  # a trailer, behind the body
            return
        request.headers.append((name, value))

    def on_headers_complete(self) -> None:
        request = self._last
        if request.begun:
            return
        request.method = self._parser.get_method().decode()
        request.version = self._parser.get_http_version()
        request.keeps = self._parser.should_keep_alive()
        expected = (value.lower() for name, value in request.headers if name.lower() == b"expect")
        request.waits = request.version == "1.1" and b"100-continue" in expected
        request.begun = True

    def on_body(self, chunk: bytes) -> None:
        self._last.add(chunk)

    def on_message_complete(self) -> None:
        self._last.whole = True


@lru_cache(maxsize=256)  # clients send the same few
def _key(name: bytes) -> str:
    """Return what WSGI calls a header; nothing for one with an underscore, which would pass for another's."""
    if b"_" in name:
        return ""
    key = name.decode("latin-1").upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
