"""A request as it arrives: its head, its body, and the WSGI environ made of it (RFC 9112, PEP 3333)."""

import re
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Protocol
from urllib.parse import unquote_to_bytes

MAX_CACHED_NAME = 256  # bytes of a header's name: long ones would fill the memory
# A whole URL as target: its host, of which an IPv6 address stands in brackets, then path and query.
URL = re.compile(
    rb"[A-Za-z][A-Za-z0-9+.-]*://(?![/?#]|$)[^\[\]/?#]*(?:\[[^\[\]/?#]+\][^\[\]/?#]*)?((?:[/?][^#]*)?)(?:#.*)?"
)
MAX_HEAD_BYTES = 65_536  # of a request line and its headers: ample for cookies and tokens


class BrokenBodyError(OSError):
    """A body ended early, or is malformed."""


class MalformedBodyError(BrokenBodyError):
    """The chunks of a body are malformed; the message says why."""


class BodySource(Protocol):
    """The connection that a body arrives on."""

    @property
    def fault(self) -> Exception | None:
        """The fault of what has arrived, where it is malformed."""

    def receive(self) -> int:
        """Read and parse what has arrived, or wait for it; return how many bytes, 0 at the end or after a fault."""

    def send(self, data: bytes) -> None:
        """Send all of it; raises OSError."""


class HTTPRequest:
    """A request whose head has arrived; its body is read from the connection when it is asked for."""

    def __init__(self, connection: BodySource) -> None:
        self._connection = connection
        self._body = bytearray()  # the part that has arrived and is not read yet
        self.received = 0  # bytes of the body
        self.method, self.version, self.target = "", "1.1", b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.head_complete = False
        self.body_complete = False
        self.keep_alive = True
        self.expects_continue = False  # the client sends the body after "100 Continue"

    @property
    def head_bytes(self) -> int:
        """The bytes of the request target and of the headers, with their separators."""
        return len(self.target) + sum(len(name) + len(value) + 4 for name, value in self.headers)

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
                raise self._broken(has_ended=not count)
            time.sleep(0)  # yield, so that one fast client cannot starve the others
        if 0 <= size < len(self._body):
            data = bytes(memoryview(self._body)[:size])
            del self._body[:size]
        else:
            data = bytes(self._body)
            self._body.clear()
        return data

    def _broken(self, has_ended: bool) -> BrokenBodyError:
        if not has_ended:
            return MalformedBodyError(f"a chunk's size and extensions, or the trailers, pass {MAX_HEAD_BYTES:,} bytes")
        fault = self._connection.fault
        return MalformedBodyError(str(fault)) if fault else BrokenBodyError("the body ended early")

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
            make_key = _cached_environ_key if len(name) <= MAX_CACHED_NAME else _environ_key
            if key := make_key(name):
                text = value.decode("latin-1")
                environ[key] = f"{environ[key]},{text}" if key in environ else text
        return environ

    def fault(self) -> str:
        """Return what is wrong with the head, by RFC 9112, sections 3.2 and 6.1; empty for a sound one."""
        names = [name.lower() for name, _ in self.headers]
        codings = []
        if b"transfer-encoding" in names:
            pairs = zip(names, self.headers, strict=True)
            codings = [value.strip().lower() for name, (_, value) in pairs if name == b"transfer-encoding"]
        if self.version not in ("1.0", "1.1"):
            return f"its version is {self.version}"
        if names.count(b"host") > 1 or (self.version == "1.1" and b"host" not in names):
            return "it must have exactly one Host header"
        is_path = self.target.startswith(b"/") or self.method == "CONNECT"
        is_path = is_path or (self.target == b"*" and self.method == "OPTIONS")
        if not (is_path or URL.fullmatch(self.target)):
            return "its target is neither a path nor a URL with a host"
        if codings and self.version == "1.0":
            return "its version, 1.0, has no Transfer-Encoding"
        if codings and codings != [b"chunked"]:
            return "its Transfer-Encoding is unsupported; only chunked is supported"
        return ""

    def add(self, chunk: bytes) -> None:
        """Append a part of the body that has arrived."""
        self._body += chunk
        self.received += len(chunk)

    def _path_and_query(self) -> tuple[str, str]:
        """Return path and query of the request target, which may be a whole URL."""
        target = self.target
        if url := URL.fullmatch(target):
            target = url[1] if url[1].startswith(b"/") else b"/" + url[1]  # RFC 9112, section 3.2.1
        path, _, query = target.partition(b"?")
        return (unquote_to_bytes(path) if b"%" in path else path).decode("latin-1"), query.decode("latin-1")


def _environ_key(name: bytes) -> str:
    """Return a header's WSGI key; empty for one with an underscore, which would pass for another's, and for Upgrade.

    An offer to upgrade is ignored, so the application must not see it: Werkzeug would route a WebSocket.
    """
    if b"_" in name or name.lower() == b"upgrade":
        return ""
    key = name.decode("latin-1").upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"


_cached_environ_key = lru_cache(maxsize=256)(_environ_key)  # clients send the same few
