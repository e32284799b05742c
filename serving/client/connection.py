"""A connection to a service, kept open from request to request; its responses are not trusted."""

import http.client
import ssl
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

MAX_RESPONSE_BYTES = 16 * 1024 * 1024  # the answer to one image has a few thousand
READ_BYTES = 65_536
MAX_TIMEOUT = 3600.0  # seconds
MIN_RETRY_AFTER = 0.1  # seconds, whatever Retry-After says
CONNECTIONS = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
UPLOAD_HEADERS = {"Content-Type": "application/octet-stream"}


class ClientError(Exception):
    """The service gave no valid answer; the message says why, and what to do."""


class NoAnswerError(ClientError):
    """Nothing answers at the URL, or not in time."""


class BadAnswerError(ClientError):
    """Something else than this service answers at the URL."""


class BadKeyError(ValueError):
    """A text cannot be a key."""


@dataclass(frozen=True)
class RawResponse:
    """A response. retry_after: seconds to wait before asking again."""

    status: int
    body: bytes
    retry_after: float


class ServiceConnection:
    """Posts bodies to one URL, over one connection as long as the server keeps it open."""

    def __init__(self, url: str, timeout: float, key: str | None = None) -> None:
        """timeout: seconds for each step and for a whole response; raises ValueError when an argument is not valid."""
        parts = urlsplit(url)
        if parts.scheme not in CONNECTIONS or not parts.hostname or parts.query or parts.username:
            raise ValueError(f"{url!r} is not the URL of a service, such as http://127.0.0.1:8000")
        parts.hostname.encode("idna")  # raises UnicodeError, which is a ValueError, as connecting would
        if not 0 < timeout <= MAX_TIMEOUT:
            raise ValueError(f"timeout={timeout:g} is not a number of seconds above 0, and up to {MAX_TIMEOUT:g}")
        self._http = CONNECTIONS[parts.scheme](parts.hostname, parts.port, timeout=timeout)
        self._path = quote(parts.path.rstrip("/"), safe="/%")
        self._url, self._timeout = url, timeout
        self._lock = threading.Lock()  # a thread that sends while another reads would get that one's response
        if key and not (key.isascii() and key.isprintable()):
            raise BadKeyError("the key has characters that a key cannot have; ask the service's operator for one")
        self._headers = UPLOAD_HEADERS | ({"Authorization": f"Bearer {key}"} if key else {})

    def post(self, path: str, body: bytes) -> RawResponse:
        """Return the response to a body; raises ClientError."""
        with self._lock:
            return self._post(self._path + path, body)

    def _post(self, path: str, body: bytes) -> RawResponse:
        with ExitStack() as failed:
            failed.callback(self._http.close)  # after an interrupt too: what is left of this answer is not the next one
            try:
                response = self._exchange_with_retry(path, body)
            except ssl.SSLError as error:
                raise NoAnswerError(
                    f"{self._url} cannot be asked over TLS: {error}. Use http:// if the service has no TLS; name a "
                    "certificate that this machine does not know in SSL_CERT_FILE."
                ) from error
            except OSError as error:
                raise NoAnswerError(f"{self._url} does not answer: {error}. Is the service running there?") from error
            except http.client.HTTPException as error:
                raise BadAnswerError(
                    f"{self._url} does not answer with valid HTTP: {error!r}. Check the URL."
                ) from error
            failed.pop_all()
            return response

    def _exchange_with_retry(self, path: str, body: bytes) -> RawResponse:
        reused = self._http.sock is not None
        try:
            return self._exchange(path, body)
        except ConnectionError:
            self._http.close()
            if not reused:
                raise
        return self._exchange(path, body)  # a server may close a connection that it kept open

    def _exchange(self, path: str, body: bytes) -> RawResponse:
        if self._http.sock is None:
            self._http.connect()
        with suppress(BrokenPipeError, ConnectionResetError):
            # The server may refuse a body before it has read all of it; its response still arrives.
            self._http.request("POST", path, body, self._headers)
        response = self._http.getresponse()
        return RawResponse(response.status, self._read(response), _retry_after(response.getheader("Retry-After")))

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        """Return the whole body; raises BadAnswerError when it is too large, TimeoutError when it takes too long."""
        body, deadline = b"", time.monotonic() + self._timeout
        while piece := response.read1(READ_BYTES):
            body += piece
            if len(body) > MAX_RESPONSE_BYTES:
                raise BadAnswerError(
                    f"{self._url} answers with more than {MAX_RESPONSE_BYTES:,} bytes, which this service never does; "
                    "check the URL."
                )
            if time.monotonic() > deadline:
                raise TimeoutError(f"the answer took more than {self._timeout:g} s")
        return body + response.read()  # empty, which ends the exchange

    def close(self) -> None:
        """Close the connection; the next body opens another."""
        self._http.close()


def _retry_after(header: str | None) -> float:
    """Return the seconds of a Retry-After header, at least the minimum."""
    seconds = float(header) if header and header.isascii() and header.isdigit() else 0.0
    return max(seconds, MIN_RETRY_AFTER)
