"""The service as its worker drives it, beside its requests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the server's master imports this module, and must load neither Flask nor prometheus_client
    from wsgiref.types import StartResponse

    from flask import Flask

    from serving.access.key_file import KeyFile
    from serving.api.request_log import RequestLog
    from serving.inference.decoders import Decoders
    from serving.repository.poller import Poller
    from serving.telemetry.telemetry import Telemetry

EXTENSION = "thimble"  # the key in Flask's extensions


class Lifecycle:
    """The periodic work of a service, and its end."""

    def __init__(
        self,
        telemetry: Telemetry,
        request_log: RequestLog,
        poller: Poller,
        decoders: Decoders,
        keys: KeyFile | None = None,
    ) -> None:
        self._telemetry = telemetry
        self._request_log = request_log
        self._poller = poller
        self._decoders = decoders
        self._keys = keys

    @staticmethod
    def of(app: Flask) -> Lifecycle:
        """Return the lifecycle of an application."""
        lifecycle: Lifecycle = app.extensions[EXTENSION]
        return lifecycle

    def start(self) -> None:
        """Start what requests will need; call it in the process that answers them."""
        self._decoders.start()

    def flush(self) -> None:
        """Count and log everything that was noted."""
        self._telemetry.flush()
        self._request_log.flush()

    def tick(self) -> None:
        """Do what is due; call it about once a second. Returns at once."""
        self._telemetry.tick()
        self._request_log.flush()
        self._poller.tick()
        if self._keys:
            self._keys.refresh()

    def close(self) -> None:
        """End the decoders, and count, log and trace everything that is left, before the process ends."""
        self._decoders.close()
        self.flush()
        self._request_log.close()

    def malformed(self, reason: str, target: str, start_response: StartResponse) -> Iterable[bytes]:
        """Refuse bytes that are not a valid HTTP request; target: the request's, as far as known. A WSGI response."""
        return self._request_log.refuse_malformed(reason, target, start_response)

    def unknown_method(self, method: str, target: str, start_response: StartResponse) -> Iterable[bytes]:
        """Refuse a request whose method the parser does not know; a WSGI response."""
        return self._request_log.refuse_method(method, target, start_response)
