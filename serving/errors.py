"""Every way in which a request can be refused; the HTTP status and the code are data.

Refusal
├── BadRequest          400 bad-request
├── Unauthorised        401 unauthorised
├── NotAllowed          403 not-allowed
├── NotFound            404 not-found
│   └── UnknownModel    404 unknown-model
├── MethodNotAllowed    405 method-not-allowed
├── SlowBody            408 slow-body
├── TooLarge            413 too-large
├── UnsupportedType     415 unsupported-type
├── UnreadableImage     422 unreadable-image
├── TooManyPixels       422 too-many-pixels
├── RateLimited         429 rate-limited
├── InternalError       500 internal-error
├── NoModel             503 no-model
└── Overloaded          503 overloaded
"""

from typing import ClassVar

from msgspec import Struct


class Problem(Struct, frozen=True):
    """The problem document of RFC 9457: why a request, or one of its images, is refused."""

    type: str
    title: str
    status: int
    detail: str
    code: str


class Refusal(Exception):  # noqa: N818  # a refusal is an answer, not an error
    """The refusal of a request; the message says what is wrong, the value, and what to do."""

    status: ClassVar[int]
    code: ClassVar[str]
    title: ClassVar[str]
    retry_after: int | None = None  # seconds after which the same may be asked again

    def problem(self) -> Problem:
        """Return the document that the client gets."""
        return Problem(f"urn:thimble:problem:{self.code}", self.title, self.status, str(self), self.code)

    def headers(self) -> dict[str, str]:
        """Return the headers that the answer has because of the refusal."""
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}


class BadRequest(Refusal):
    status, code, title = 400, "bad-request", "The request is not valid"


class Unauthorised(Refusal):
    status, code, title = 401, "unauthorised", "A key is needed"

    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": 'Bearer realm="thimble"'}


class NotAllowed(Refusal):
    status, code, title = 403, "not-allowed", "That is not allowed"


class NotFound(Refusal):
    status, code, title = 404, "not-found", "There is no such path"


class UnknownModel(NotFound):
    code, title = "unknown-model", "There is no such model"


class MethodNotAllowed(Refusal):
    status, code, title = 405, "method-not-allowed", "The path does not allow this method"


class SlowBody(Refusal):
    status, code, title = 408, "slow-body", "The body took too long to arrive"


class TooLarge(Refusal):
    status, code, title = 413, "too-large", "The request is too large"


class UnsupportedType(Refusal):
    status, code, title = 415, "unsupported-type", "This type of content is unsupported"


class UnreadableImage(Refusal):
    status, code, title = 422, "unreadable-image", "The image cannot be read"


class TooManyPixels(Refusal):
    status, code, title = 422, "too-many-pixels", "The image has too many pixels"


class RateLimited(Refusal):
    status, code, title = 429, "rate-limited", "Too many images"

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class InternalError(Refusal):
    status, code, title = 500, "internal-error", "The service failed"

    def __init__(self, message: str = "The service failed to answer; its log says why.") -> None:
        super().__init__(message)  # without the cause: only the log may have that


def not_a_number(model: str) -> InternalError:
    """Return the refusal of an image for which a graph gives NaN or infinity."""
    return InternalError(
        f"For this image the model {model!r} gives NaN or infinity instead of probabilities; name another model."
    )


class NoModel(Refusal):
    status, code, title = 503, "no-model", "No model is ready"
    retry_after = 5  # another replica, or this one after a restart, may have the model


class Overloaded(Refusal):
    status, code, title = 503, "overloaded", "The service is overloaded"
    retry_after = 1
