"""One connection to a service, kept open from request to request; whatever answers is not trusted."""

import http.client
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

LARGEST = 16 * 1024 * 1024  # bytes of an answer; that to one image has a few thousand
PIECE = 65_536
LONGEST_WAIT = 30.0  # seconds, whatever Retry-After says
SHORTEST_WAIT = 0.1
HEADERS = {"Content-Type": "application/octet-stream"}


class ClientError(Exception):
    """There is no answer; the message says whose fault that seems to be and what to do."""


class NoAnswerError(ClientError):
    """Nothing answers at the address, or not in time."""


class BadAnswerError(ClientError):
    """Something answers, but not as this service does."""


@dataclass(frozen=True)
class Answer:
    """What came back. wait: the seconds after which the server would be asked again."""

    status: int
    body: bytes
    wait: float


class Connection:
    """Posts bodies to one address, over one connection as long as the server keeps it."""

    def __init__(self, url: str, seconds: float) -> None:
        """seconds: the patience with each step and with an answer; raises ValueError when the URL is none."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
            raise ValueError(f"{url!r} is no address of a service, such as http://127.0.0.1:8000")
        parts.hostname.encode("idna")  # raises UnicodeError, which is a ValueError, as connecting would
        self._http = http.client.HTTPConnection(parts.hostname, parts.port, timeout=seconds)
        if parts.scheme == "https":
            context = ssl.create_default_context()
            self._http = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=seconds, context=context)
        self._path = quote(parts.path.rstrip("/"), safe="/%")
        self._url, self._seconds = url, seconds

    def post(self, path: str, body: bytes) -> Answer:
        """Return the answer to a body; raises ClientError."""
        try:
            return self._exchange_patiently(self._path + path, body)
        except OSError as error:
            self._http.close()
            raise NoAnswerError(f"{self._url} does not answer: {error}. Is the service running there?") from error
        except http.client.HTTPException as error:
            self._http.close()
            raise BadAnswerError(f"{self._url} does not speak HTTP as this service does: {error!r}.") from error

    def _exchange_patiently(self, path: str, body: bytes) -> Answer:
        kept = self._http.sock is not None
        try:
            return self._exchange(path, body)
        except ConnectionError:
            self._http.close()
            if not kept:
                raise
        return self._exchange(path, body)  # since a server may close a connection that it has kept

    def _exchange(self, path: str, body: bytes) -> Answer:
        if self._http.sock is None:
            self._http.connect()
        with suppress(BrokenPipeError, ConnectionResetError):
            # The server may refuse a body before it is whole; what it says then is the answer.
            self._http.request("POST", path, body, HEADERS)
        response = self._http.getresponse()
        return Answer(response.status, self._read(response), _wait(response.getheader("Retry-After")))

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        """Return the whole body; raises BadAnswerError when it is too large, and TimeoutError when it drips."""
        body, deadline = b"", time.monotonic() + self._seconds
        while piece := response.read1(PIECE):
            body += piece
            if len(body) > LARGEST:
                self._http.close()
                raise BadAnswerError(f"{self._url} answers with more than {LARGEST:,} bytes; that is not this service.")
            if time.monotonic() > deadline:
                raise TimeoutError(f"the answer took more than {self._seconds:g} s")
        return body + response.read()  # nothing any more, which ends the exchange

    def close(self) -> None:
        """Let the connection go; the next body opens another."""
        self._http.close()


def _wait(header: str | None) -> float:
    """Return the seconds of a Retry-After header; the shortest sensible time when it doesn't say."""
    seconds = float(header) if header and header.isascii() and header.isdigit() else 0.0
    return min(max(seconds, SHORTEST_WAIT), LONGEST_WAIT)
