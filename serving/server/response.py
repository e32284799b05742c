"""A response on its way to a connection, as the bytes to send."""

import time
from collections.abc import Callable
from email.utils import formatdate
from functools import lru_cache
from typing import Any

WITHOUT_LENGTH = ("204", "304")  # the statuses whose responses have no Content-Length (RFC 9110, section 8.6)


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
        lines = [f"HTTP/1.1 {self.status}", "Server: thimble", f"Connection: {'keep-alive' if keep_alive else 'close'}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        own = {name for name, _ in self.headers}  # that the application has set
        if "Date" not in own:
            lines.append(f"Date: {_http_date(int(time.time()))}")
        if "Content-Length" not in own and self.status[:3] not in WITHOUT_LENGTH:
            lines.append(f"Content-Length: {len(self.body)}")
        lines.append("\r\n")
        head = "\r\n".join(lines)
        if not head.count("\r") == head.count("\n") == len(lines):  # otherwise a value could pass for a header
            raise ValueError(f"a line break in a header: {self.headers}")
        return head.encode("latin-1") + (b"" if method == "HEAD" else self.body)

    def _write(self, data: bytes) -> None:
        self.body += data


@lru_cache(maxsize=1)
def _http_date(second: int) -> str:
    return formatdate(second, usegmt=True)
