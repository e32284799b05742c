"""A client's connection: requests are read from it one after another, responses written to it (HTTP/1.1, RFC 9112).

llhttp parses the heads, through httptools: a parser in Python takes as long for one as decoding a small image.
"""

import re
import socket
import time
from collections import deque
from contextlib import suppress
from fcntl import ioctl
from termios import FIONREAD

import httptools

from serving.server.deadline import MIN_BODY_RATE
from serving.server.request import MAX_HEAD_BYTES, HTTPRequest

HEAD_TIMEOUT = 10.0  # seconds from a head's first byte to its last: it fits one packet, and packets are lost
MAX_HEADERS = 100
MAX_WAITING_HEADERS = 1_000  # of all requests that wait: each takes far more memory than its bytes
RECV_BYTES = 65_536
MAX_PIPELINED = 100  # requests that may wait for the responses to those before them
FRAMING_HEADERS = (b"content-length", b"transfer-encoding")
LONG_HEAD = f"its head is longer than {MAX_HEAD_BYTES:,} bytes"
LINGER_TIMEOUT = 5.0  # seconds that a refused client may go on sending, so that it reads the response in the end
REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) (\S+) HTTP/1\.[01]\r?\n")
NOT_A_REQUEST = "the bytes after the last request are not a request; its Content-Length may be smaller than its body"


class MalformedRequestError(Exception):
    """Not a valid HTTP request; the message says why. target: the request's, as far as it was read."""

    def __init__(self, reason: str, target: bytes = b"") -> None:
        super().__init__(reason)
        self.target = target


class UnknownMethodError(MalformedRequestError):
    """Valid, but with a method that the parser does not know; the message is its name."""


class Connection:
    """Reads requests and sends responses; the parser calls the methods named on_."""

    def __init__(self, client: socket.socket) -> None:
        self._client = client
        self._parser = httptools.HttpRequestParser(self)
        self._requests: deque[HTTPRequest] = deque()  # several where a client does not wait for its responses
        self._last = HTTPRequest(self)  # the one that is being parsed
        self.fault: MalformedRequestError | None = None
        self._head_is_replayed = False  # the next head is that of the request before, given to a fresh parser
        self._completed = 0  # requests that have been parsed whole
        self._sending = False
        self._between_requests = self._has_asked = False
        self.waiting_since: float | None = None  # on the clock of time.monotonic; None: the client is not waited for

    @property
    def has_next(self) -> bool:
        """Whether another request has begun already, as from a client that does not wait for its responses."""
        return bool(self._requests)

    def next(self, timeout: float, head_timeout: float = HEAD_TIMEOUT) -> HTTPRequest | None:
        """Return the next request; None where the client has ended. Raises MalformedRequestError, and OSError.

        timeout: seconds until the head begins. head_timeout: seconds in which it must then arrive, if those are fewer.
        """
        self._between_requests = True
        try:
            whole = self._receive_head(timeout, min(timeout, head_timeout))
        finally:
            self._between_requests = False
        if not whole:
            return None
        self._has_asked = True
        self._client.settimeout(timeout)
        request = self._requests.popleft()
        if fault := request.fault():
            raise MalformedRequestError(fault, request.target)
        return request

    def _receive_head(self, timeout: float, head_timeout: float) -> bool:
        """Receive until a head is whole; return whether it is, or the client has ended before."""
        has_begun = bool(self._requests)  # with the piece that ended the request before
        deadline, arrived = time.monotonic() + (head_timeout if has_begun else timeout), 0
        while not (self._requests and self._requests[0].head_complete):
            if self.fault or arrived > MAX_HEAD_BYTES:
                raise self.fault or self._malformed(LONG_HEAD)
            if (left := deadline - time.monotonic()) <= 0:
                raise TimeoutError
            self._client.settimeout(left)
            count = self.receive()
            if not count:
                return False
            if not arrived:
                deadline = min(deadline, time.monotonic()) + head_timeout
            arrived += count
        request = self._requests[0]
        if (has_begun or arrived > MAX_HEAD_BYTES) and request.head_bytes > MAX_HEAD_BYTES:  # the last piece ended it
            raise MalformedRequestError(LONG_HEAD, request.target)
        return True

    def receive(self) -> int:
        """Read and parse what has arrived, or wait for it; return how many bytes, 0 at the end or after a fault."""
        data = b"" if self.fault else self._recv()
        if not data:
            return 0
        completed = self._completed
        try:
            self._feed(data)
        except httptools.HttpParserInvalidMethodError as error:
            line = REQUEST_LINE.match(data) if self._completed == completed else None  # otherwise of one before
            if line:
                self.fault = UnknownMethodError(line[1].decode(), line[2])
            else:
                self.fault = self._malformed(NOT_A_REQUEST if self._completed else str(error))
        except httptools.HttpParserError as error:
            self.fault = self.fault or self._malformed(str(error))
        return len(data)

    def send(self, data: bytes) -> None:
        """Send all of it, at the least rate of a body that the client reads; raises OSError."""
        self.waiting_since, self._sending = time.monotonic(), True
        try:
            sent = self._client.send(data)
            if sent < len(data):  # seldom; gevent's sendall makes one system call more to find that out first
                rest = memoryview(data)[sent:]
                self._client.settimeout((self._client.gettimeout() or 0) + len(rest) / MIN_BODY_RATE)
                self._client.sendall(rest)
        finally:
            self.waiting_since, self._sending = None, False

    def idle_for(self, seconds: float, before_first: float) -> bool:
        """Whether the client owes no more of a request, and has sent nothing for so long.

        before_first: seconds for one that has not asked yet; a busy client takes long from connecting to asking.
        """
        since, allowed = self.waiting_since, seconds if self._has_asked else before_first
        if not self._between_requests or since is None or time.monotonic() - since < allowed:
            return False
        return not any(ioctl(self._client.fileno(), FIONREAD, bytes(4)))  # what has come may not have been read yet

    def give_up(self) -> None:
        """End the wait for the client: reading ends, and writing where the client does not read."""
        with suppress(OSError):  # SSLSocket.shutdown would end TLS too
            socket.socket.shutdown(self._client, socket.SHUT_RDWR if self._sending else socket.SHUT_RD)

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
            self._client.shutdown(socket.SHUT_WR)
            self._client.settimeout(LINGER_TIMEOUT)
            while self._recv() and time.monotonic() < deadline:
                time.sleep(0)  # yield, so that one fast client cannot starve the others

    def _recv(self) -> bytes:
        self.waiting_since = time.monotonic()
        try:
            return self._client.recv(RECV_BYTES)
        finally:
            self.waiting_since = None

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
        if self._requests:
            self._limit_waiting()
        self._last = HTTPRequest(self)
        self._requests.append(self._last)

    def on_url(self, part: bytes) -> None:
        if not self._last.head_complete:
            self._last.target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._last.head_complete:  # it is a trailer
            return
        if len(self._last.headers) >= MAX_HEADERS:  # not only at the head's end: each takes far more than its bytes
            self._refuse(f"it has more than {MAX_HEADERS} headers")
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
        self._completed += 1

    def _limit_waiting(self) -> None:
        if len(self._requests) >= MAX_PIPELINED:
            self._refuse(f"{MAX_PIPELINED} requests before it still wait for their responses")
        if sum(len(request.headers) for request in self._requests) > MAX_WAITING_HEADERS:
            self._refuse(f"the requests before it, which wait, have more than {MAX_WAITING_HEADERS:,} headers")

    def _refuse(self, fault: str) -> None:
        self.fault = self._malformed(fault)
        raise self.fault

    def _malformed(self, fault: str) -> MalformedRequestError:
        return MalformedRequestError(fault, self._last.target)
