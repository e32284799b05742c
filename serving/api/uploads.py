"""The images of a request, in every form in which they may be sent."""

import base64
import codecs
import re
from collections.abc import Mapping
from functools import lru_cache
from urllib.parse import unquote_to_bytes

import msgspec
from werkzeug.http import parse_options_header

from serving.api.form_data import read_files
from serving.api.intake import Environ, Intake
from serving.errors import BadRequest, TooLarge, UnsupportedType
from serving.inference.predictor import Upload

NO_IMAGE = "Send the image as the body: curl --data-binary @photo.jpg -H 'Content-Type: image/jpeg' URL"
MAX_FIELDS = 50  # of a form, beside its images
MAX_PERCENT_ENCODED = 250_000  # characters: three times the size of the bytes, and slow to decode
IDENTITY = ("", "identity")  # the content codings that change nothing
DATA_URL = re.compile(r"data:[^,]{0,200}?(;base64)?,", re.IGNORECASE)


class ImageBody(msgspec.Struct, forbid_unknown_fields=True):
    """The JSON form of an upload: base64 or data: URLs."""

    image: str | None = None
    images: list[str] | None = None


def read_uploads(environ: Environ, intake: Intake) -> list[Upload]:
    """Return the images of a request in order; where a single one is bad, its refusal. Raises Refusal."""
    kind, parameters = _content_type(environ.get("CONTENT_TYPE") or "")
    if (encoding := environ.get("HTTP_CONTENT_ENCODING", "")).strip().lower() not in IDENTITY:
        raise UnsupportedType(f"Content-Encoding {encoding[:20]!r} is unsupported; send the body uncompressed.")
    body = intake.read_body(environ)
    if not body:
        raise BadRequest(f"The request has no body. {NO_IMAGE}")
    if kind == "multipart/form-data":
        uploads = _from_multipart(body, parameters.get("boundary", ""), intake)
    elif kind == "application/json":
        uploads = _from_json(body, intake)
    elif _is_image(kind, body):
        uploads = [body]
    else:
        raise UnsupportedType(
            f"Content-Type {kind!r} is unsupported; send image/*, application/octet-stream, multipart/form-data or "
            "application/json (with curl: -H 'Content-Type: image/png')."
        )
    return uploads


@lru_cache(maxsize=256)  # clients send the same few
def _content_type(header: str) -> tuple[str, Mapping[str, str]]:
    kind, parameters = parse_options_header(header)
    return kind.lower(), parameters


def _is_image(kind: str, body: bytes) -> bool:
    if kind == "application/x-www-form-urlencoded":
        return not body.isascii()  # a form is ASCII; curl --data-binary sends this type with any file
    return kind in ("", "application/octet-stream") or kind.startswith("image/")


def _from_multipart(body: bytes, boundary: str, intake: Intake) -> list[Upload]:
    """Return the content of each part that has a file name, in order."""
    uploads: list[Upload] = [*read_files(body, boundary, intake.max_images + MAX_FIELDS)]
    if len(uploads) > intake.max_images:
        raise intake.too_many_images()
    if not uploads:
        raise BadRequest("The multipart body has no file part; with curl: -F image=@photo.jpg")
    return uploads


def _from_json(body: bytes, intake: Intake) -> list[Upload]:
    try:
        document = msgspec.json.decode(body.removeprefix(codecs.BOM_UTF8), type=ImageBody)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f'The JSON must be {{"image": "..."}} or {{"images": ["...", ...]}}: {error}') from error
    if (document.image is None) == (document.images is None) or document.images == []:
        raise BadRequest('The JSON must have either "image" or "images", not both, with at least one image in it.')
    if len(document.images or []) > intake.max_images:
        raise intake.too_many_images()
    return [decode_text(text) for text in document.images or [document.image or ""]]


def decode_text(text: str) -> Upload:
    """Return the bytes of base64 or of a data: URL, or the refusal of it."""
    if text.startswith(("http://", "https://")):
        return BadRequest("Images are not fetched from URLs; send the image itself, as base64.")
    head = DATA_URL.match(text)
    if head and not head[1]:
        return _from_percent_encoding(text[head.end() :])
    payload = "".join(text[head.end() if head else 0 :].split())
    try:
        return base64.b64decode(payload, validate=True)
    except ValueError as error:  # binascii.Error is one; text beyond ASCII another
        return BadRequest(f"The image is not valid base64: {error}.")


def _from_percent_encoding(text: str) -> Upload:
    if len(text) > MAX_PERCENT_ENCODED:
        return TooLarge(
            f"The data: URL has {len(text):,} characters; without base64 the limit is {MAX_PERCENT_ENCODED:,}. Send it "
            "as base64."
        )
    return unquote_to_bytes(text)
