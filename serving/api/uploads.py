"""The images of a request, in every form in which they may be sent."""

import base64
import codecs
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from socket import socket
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec
from werkzeug.http import parse_options_header
from werkzeug.sansio.utils import get_content_length

from serving.inference.predictor import Upload
from serving.api import multipart
from serving.errors import BadRequest, Overloaded, SlowBody, TooLarge, UnsupportedType
from serving.server.deadline import Deadline

NO_IMAGE = "Send the image as the body: curl --data-binary @photo.jpg -H 'Content-Type: image/jpeg' URL"
OTHER_FIELDS = 50  # of a form, beside its images
PERCENT_ENCODED = 250_000  # characters: it is three times the size of what it says, and slow to read
PLAIN = ("", "identity")  # the codings of content that change nothing
NOTHING = nullcontext()
DATA_URL = re.compile(r"data:[^,]{0,200}?(;base64)?,", re.IGNORECASE)


Environ = Mapping[str, Any]  # of WSGI


class ImageBody(msgspec.Struct, forbid_unknown_fields=True):
    """The JSON form of an upload: base64 or data: URLs."""

    image: str | None = None
    images: list[str] | None = None


@dataclass(frozen=True)
class Limits:
    """How large a body may be in bytes, how many images it may hold, and how long it may take."""

    body: int
    images: int
    deadline: Deadline
    memory: "Memory"

    def too_large(self) -> TooLarge:
        """Return the refusal of a body over the limit."""
        return TooLarge(f"The body is larger than {self.body:,} bytes; send a smaller image, or fewer at once.")

    def too_many(self) -> TooLarge:
        """Return the refusal of more images than the limit."""
        return TooLarge(f"The request has more than {self.images} images; send them in several requests.")


class Memory:
    """The bytes of bodies that this process reads or works on: clients together must not fill its memory."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._used = 0

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Keep so many bytes for a body while it arrives; raises Overloaded where there are not that many."""
        if self._used and self._used + size > self._most:
            raise Overloaded("Too many large bodies are being read at once; ask again a little later.")
        self._used += size
        try:
            yield
        finally:
            self._used -= size


def held(environ: Environ, limits: Limits) -> AbstractContextManager[None]:
    """Return the block in which a request's body takes memory, from its arrival to the answer; raises Overloaded."""
    if getattr(environ["wsgi.input"], "whole", False):  # it came with its head, as small ones do
        return NOTHING
    return limits.memory.hold(min(limits.body, _announced(environ) or limits.body))


def read_uploads(environ: Environ, limits: Limits) -> list[Upload]:
    """Return the images of a request in their order; one that is bad in itself is the refusal of it."""
    kind, parameters = _content_type(environ.get("CONTENT_TYPE") or "")
    if (encoding := environ.get("HTTP_CONTENT_ENCODING", "")).strip().lower() not in PLAIN:
        raise UnsupportedType(f"Content-Encoding {encoding[:20]!r} is not taken; send the body as it is.")
    body = read_body(environ, limits)
    if not body:
        raise BadRequest(f"The request has no body. {NO_IMAGE}")
    if kind == "multipart/form-data":
        uploads = _of_multipart(body, parameters.get("boundary", ""), limits)
    elif kind == "application/json":
        uploads = _of_json(body, limits)
    elif _is_image(kind, body):
        uploads = [body]
    else:
        raise UnsupportedType(
            f"Content-Type {kind!r} is not taken; send image/*, application/octet-stream, multipart/form-data or "
            "application/json (with curl: -H 'Content-Type: image/png')."
        )
    return uploads


@lru_cache(maxsize=256)  # clients say the same few
def _content_type(header: str) -> tuple[str, Mapping[str, str]]:
    kind, parameters = parse_options_header(header)
    return kind.lower(), parameters


def _is_image(kind: str, body: bytes) -> bool:
    if kind == "application/x-www-form-urlencoded":
        return not body.isascii()  # a form is ASCII; this is what curl --data-binary says of any file
    return kind in ("", "application/octet-stream") or kind.startswith("image/")


def read_body(environ: Environ, limits: Limits) -> bytes:
    """Return the whole body, straight from the server; raises TooLarge, SlowBody and BadRequest."""
    announced = _announced(environ)
    if announced is not None and announced > limits.body:
        raise limits.too_large()
    stream = environ["wsgi.input"]
    if getattr(stream, "whole", False):  # with its head, as small ones do
        body: bytes = stream.read()
    else:
        body = _read_slowly(stream, announced, environ.get("gunicorn.socket"), limits)
    if len(body) > limits.body:
        raise limits.too_large()
    return body


def _announced(environ: Environ) -> int | None:
    """Return how long the body is to be, in bytes; None where that shows only at its end."""
    return get_content_length(environ.get("CONTENT_LENGTH"), environ.get("HTTP_TRANSFER_ENCODING"))


def _read_slowly(stream: Any, announced: int | None, connection: socket | None, limits: Limits) -> bytes:
    """Return a body of which something has yet to come."""
    arriving = limits.deadline.watch(connection) if connection else nullcontext()
    with arriving as arrival:
        try:
            body: bytes = stream.read(limits.body + 1 if announced is None else announced)
            broke_off = announced is not None and len(body) < announced
        except OSError:  # a chunked body that breaks off or is malformed
            broke_off = True
    if not broke_off:
        return body
    if arrival and arrival.late:
        raise SlowBody(f"The body did not arrive within {limits.deadline.seconds:g} s.")
    raise BadRequest("The body broke off before it was whole; send it again.")


def _of_multipart(body: bytes, boundary: str, limits: Limits) -> list[Upload]:
    """Return the content of each part that has a file name, in their order."""
    uploads: list[Upload] = []
    try:
        for file in multipart.files(body, boundary, limits.images + OTHER_FIELDS):
            if len(uploads) == limits.images:
                raise limits.too_many()
            uploads.append(file)
    except OverflowError as error:
        raise TooLarge("The multipart body has too many parts; send the images in several requests.") from error
    except UnicodeDecodeError as error:
        raise BadRequest("The head of a part is not UTF-8; name the file in UTF-8 or ASCII.") from error
    except multipart.MultipartError as error:
        raise BadRequest(f"The multipart body is malformed: {error}.") from error
    if not uploads:
        raise BadRequest("The multipart body has no file part; with curl: -F image=@photo.jpg")
    return uploads


def _of_json(body: bytes, limits: Limits) -> list[Upload]:
    try:
        document = msgspec.json.decode(body.removeprefix(codecs.BOM_UTF8), type=ImageBody)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f'The JSON must be {{"image": "..."}} or {{"images": ["...", ...]}}: {error}') from error
    if (document.image is None) == (document.images is None) or document.images == []:
        raise BadRequest('The JSON must have either "image" or "images", not both, with at least one image in it.')
    if len(document.images or []) > limits.images:
        raise limits.too_many()
    return [of_text(text) for text in document.images or [document.image or ""]]


def of_text(text: str) -> Upload:
    """Return the bytes of base64 or of a data: URL."""
    if text.startswith(("http://", "https://")):
        return BadRequest("Images are not fetched from addresses; send the image itself, as base64.")
    head = DATA_URL.match(text)
    if head and not head[1]:
        return _of_percent_encoding(text[head.end() :])
    payload = "".join(text[head.end() if head else 0 :].split())
    try:
        return base64.b64decode(payload, validate=True)
    except ValueError as error:  # binascii.Error is one; text beyond ASCII another
        return BadRequest(f"The image is not valid base64: {error}.")


def _of_percent_encoding(text: str) -> Upload:
    if len(text) > PERCENT_ENCODED:
        return TooLarge(f"A data: URL without base64 may have {PERCENT_ENCODED:,} characters; send it as base64.")
    return unquote_to_bytes(text)
