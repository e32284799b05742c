"""Take in the body of a request, within its limits in bytes, images, time and memory."""

from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from socket import socket
from typing import Any
from wsgiref.types import WSGIEnvironment

from werkzeug.sansio.utils import get_content_length

from serving.access.caller import add_headers, caller_of
from serving.access.rate_limiter import RateLimiter
from serving.api.memory_budget import MemoryBudget
from serving.errors import BadRequest, RateLimited, SlowBody, TooLarge
from serving.inference.admission import Admission
from serving.server.deadline import Deadline
from serving.server.request import MalformedBodyError
from serving.settings import Settings, shared_folder

FULL_SIZE_BODIES = 8  # bodies of the largest size that each worker holds at once; of smaller ones as many more
PIECE_BYTES = 65_536  # of a body that is arriving: so many of each connection are not counted yet


@dataclass(frozen=True)
class Intake:
    """The limits on a request: max_body in bytes, max_images, the deadline of its body, and the shared budgets.

    limiter: of each client's images, if they are limited. advice: how to keep to max_body.
    """

    max_body: int
    max_images: int
    deadline: Deadline
    memory: MemoryBudget
    admission: Admission
    limiter: RateLimiter | None = None
    advice: str = "send a smaller image, or fewer at once"

    @classmethod
    def from_settings(cls, settings: Settings) -> "Intake":
        """Return the limits of a worker with these settings."""
        return cls(
            settings.max_body,
            settings.max_images,
            Deadline(settings.body_seconds),
            MemoryBudget(FULL_SIZE_BODIES * settings.max_body),
            Admission(settings.in_flight, settings.wait_seconds),
            RateLimiter(settings.rate_limit, shared_folder()) if settings.rate_limit else None,
        )

    def without_images(self, max_body: int) -> "Intake":
        """Return the limits of calls whose bodies have no images, and are short."""
        return replace(self, max_body=min(max_body, self.max_body), advice="this call takes no files")

    @staticmethod
    def has_arrived(environ: WSGIEnvironment) -> bool:
        """Whether the whole body has come with its head, as small ones do."""
        return getattr(environ["wsgi.input"], "body_complete", False)

    def read_body(self, environ: WSGIEnvironment, reserved: ExitStack) -> bytes:
        """Return the whole body; raises TooLarge, SlowBody, Overloaded and BadRequest.

        reserved: takes the reservations of the memory of a body that has not come with its head.
        """
        length = _content_length(environ)
        if length is not None and length > self.max_body:
            raise self.too_large()
        stream = environ["wsgi.input"]
        if self.has_arrived(environ):
            body: bytes = stream.read()
        else:
            body = self._read_within_deadline(stream, length, environ.get("gunicorn.socket"), reserved)
        if len(body) > self.max_body:
            raise self.too_large()
        return body

    def charge(self, environ: WSGIEnvironment, images: int) -> None:
        """Count the images that a client has sent; raises RateLimited."""
        if self.limiter is None:
            return
        limit, quota = self.limiter.limit, self.limiter.take(caller_of(environ), images)
        add_headers(environ, ("RateLimit-Policy", limit.policy), ("RateLimit", quota.state))
        if images > limit.images:
            raise RateLimited(f"The request has {images} images, and the limit is {limit}; send fewer.", quota.wait)
        if not quota.allowed:
            raise RateLimited(
                f"The limit is {limit}, of which {quota.remaining} are left, and the request has {images}; ask "
                f"again in {quota.wait} s.",
                quota.wait,
            )

    def too_large(self) -> TooLarge:
        """Return the refusal of a body over the limit."""
        return TooLarge(f"The body has more than {self.max_body:,} bytes; {self.advice}.")

    def too_many_images(self) -> TooLarge:
        """Return the refusal of more images than the limit."""
        return TooLarge(f"The request has more than {self.max_images} images; send them in several requests.")

    def _read_within_deadline(
        self, stream: Any, length: int | None, connection: socket | None, reserved: ExitStack
    ) -> bytes:
        """Return a body that is still arriving; length: as announced."""
        received = partial(getattr, stream, "received", 0)
        watch = self.deadline.watch(connection, received) if connection else nullcontext()
        with watch as arrival:
            try:
                body = b"".join(self._pieces(stream, self.max_body + 1 if length is None else length, reserved))
                incomplete = length is not None and len(body) < length
            except MalformedBodyError as error:
                raise BadRequest(
                    f"The chunked body is malformed: {error}; write each chunk after its length in hexadecimal, or "
                    "send the body whole, with its Content-Length."
                ) from error
            except TimeoutError as error:  # of the connection: its client has been silent for longer than it may be
                raise SlowBody("The body stopped arriving before its end; send it again.") from error
            except OSError:  # a chunked body that ended early
                incomplete = True
        if not incomplete:
            return body
        if arrival and arrival.late:
            raise SlowBody(f"The body did not arrive within {arrival.seconds:.3g} s; send a smaller image.")
        raise BadRequest("The body ended early; send it again.")

    def _pieces(self, stream: Any, size: int, reserved: ExitStack) -> Iterator[bytes]:
        """Yield up to so many bytes, and reserve their memory once they are here: announced ones shut nobody out."""
        while size and (piece := stream.read(min(size, PIECE_BYTES))):
            reserved.enter_context(self.memory.reserve(len(piece)))
            yield piece
            size -= len(piece)


def _content_length(environ: WSGIEnvironment) -> int | None:
    """Return the announced length of the body in bytes; None for a chunked one."""
    return get_content_length(environ.get("CONTENT_LENGTH"), environ.get("HTTP_TRANSFER_ENCODING"))
