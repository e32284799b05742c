"""The images of a request, in every form in which they may be sent, and the parameters beside them."""

import codecs
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple
from wsgiref.types import WSGIEnvironment

import msgspec
from werkzeug.http import parse_options_header

from serving.api.advice import (
    FORM,
    JSON_ERRORS,
    SEND_IMAGE,
    advise_json,
    check_image_body,
    is_image_in_a_form_type,
    unsupported_type,
)
from serving.api.form_data import Part, read_parts, read_text
from serving.api.image_text import QUOTES_PER_IMAGE, decode_text
from serving.api.intake import Intake
from serving.api.query import Parameter, check_name
from serving.errors import BadRequest, Refusal, UnreadableImage
from serving.inference.predictor import Upload
from serving.text_cache import cached_if_short

MAX_FIELDS = 50  # of a form, beside its images
MAX_MEMBERS = 20  # of the JSON: ample for each name once or twice
MEMBER = re.compile(rb'"([a-z_]{1,8})"\s*:')  # a name of the JSON
NO_FILE = "The multipart body has no file part; with curl: -F image=@photo.jpg URL."
FILE_ADVICE = " An image in a form has a file name or a Content-Type of image/*; base64 is sent in JSON."


class ImageBody(msgspec.Struct, forbid_unknown_fields=True):
    """The JSON form of an upload: base64 or data: URLs, and parameters beside them."""

    image: str | None = None
    images: list[str] | None = None
    model: str | None = None
    top_k: int | float | str | None = None
    coverage: float | int | str | None = None
    seen: bool | int | str | None = None
    label: str | None = None


IMAGES = ("image", "images")


class Uploads(NamedTuple):
    """The images of a request in order; where a single one is bad, its refusal.

    files: the file name by the image's place, where it has one. fields: the parameters that came beside the images.
    advice: what to add to the refusal of an image that was sent as the body.
    """

    images: Sequence[Upload]
    files: Mapping[int, str] = {}
    fields: Sequence[Parameter] = ()
    advice: str = ""

    def advise(self, refusal: Refusal) -> Refusal:
        """Return the refusal of the images with the advice, if there is any."""
        applies = self.advice and isinstance(refusal, UnreadableImage)
        return UnreadableImage(f"{refusal}{self.advice}") if applies else refusal


def read_uploads(environ: WSGIEnvironment, content: bytes, intake: Intake, names: tuple[str, ...]) -> Uploads:
    """Return what a request has sent; names: the parameters that exist. Raises Refusal."""
    if not content:
        raise BadRequest(f"The request has no body. {SEND_IMAGE}")
    kind, parameters = _content_type(environ.get("CONTENT_TYPE") or "")
    if kind == "multipart/form-data":
        return _from_multipart(content, parameters.get("boundary", ""), intake, names)
    if kind == "application/json":
        return _from_json(content, intake, names)
    if _is_image_type(kind) or (kind == FORM and is_image_in_a_form_type(content)):
        return Uploads([content], advice=check_image_body(kind, content))
    raise unsupported_type(kind, content)


@cached_if_short(maxsize=256)  # clients send the same few
def _content_type(header: str) -> tuple[str, Mapping[str, str]]:
    kind, parameters = parse_options_header(header)
    return kind.lower(), parameters


def _is_image_type(kind: str) -> bool:
    """Whether a media type is one of images; S3's default is binary/octet-stream."""
    return kind.startswith("image/") or kind in ("", "application/octet-stream", "binary/octet-stream")


def _from_multipart(body: bytes, boundary: str, intake: Intake, names: tuple[str, ...]) -> Uploads:
    images: list[Upload] = []
    files: dict[int, str] = {}
    fields: list[Parameter] = []
    for part in read_parts(body, boundary, intake.max_images + MAX_FIELDS):
        if _is_image_part(part, names):
            if part.file:
                files[len(images)] = part.file
            images.append(part.content)
        elif part.file is None:
            fields.append((part.name, read_text(part.content)))
    if len(images) > intake.max_images:
        raise intake.too_many_images()
    for name, _ in fields:
        check_name(name, names, FILE_ADVICE if images else f"{FILE_ADVICE} {NO_FILE}")
    if not images:
        raise BadRequest(NO_FILE)
    return Uploads(images, files, fields)


def _is_image_part(part: Part, names: tuple[str, ...]) -> bool:
    """Whether a part is an image: by its file name or, without one, by its type."""
    if part.file is None:
        binary = part.content_type.endswith("/octet-stream") and part.name not in names
        return part.content_type.startswith("image/") or binary
    return bool(part.file or part.content)  # neither: a form in which no file was chosen


def _from_json(body: bytes, intake: Intake, names: tuple[str, ...]) -> Uploads:
    body = body.removeprefix(codecs.BOM_UTF8)
    # Counted before parsing: millions of texts would keep all other requests waiting.
    if body.count(b'"') > QUOTES_PER_IMAGE * (intake.max_images + MAX_MEMBERS):
        raise intake.too_many_images()
    try:
        document = msgspec.json.decode(body, type=ImageBody)
    except JSON_ERRORS as error:
        raise BadRequest(
            'The JSON must be {"image": "..."} or {"images": ["...", ...]}, with these parameters in it or in the '
            f"query: {', '.join(names)}. {str(error)[:200]}.{advise_json(body)}"
        ) from error
    if (document.image is None) == (document.images is None) or document.images == []:
        raise BadRequest('The JSON must have either "image" or "images", not both, with at least one image in it.')
    if len(document.images or []) > intake.max_images:
        raise intake.too_many_images()
    fields = list(_fields(_members(body, document)))
    return Uploads([decode_text(text) for text in document.images or [document.image or ""]], fields=fields)


def _members(body: bytes, document: ImageBody) -> Sequence[tuple[str, object]]:
    """Return the members of the JSON, those that stand in it twice too: decoded, the last hides the others."""
    found = [member[1] for member in islice(MEMBER.finditer(body), MAX_MEMBERS + 1)]
    if len(found) > MAX_MEMBERS:
        raise BadRequest('The JSON has members of the same name; give each once, as in {"image": "...", "top_k": 3}.')
    if len(found) == len({*found}) and b"\\u" not in body:
        return list(msgspec.structs.asdict(document).items())
    members: list[tuple[str, object]] = json.loads(body, object_pairs_hook=list)
    if len([name for name, value in members if name in IMAGES and value is not None]) > 1:
        raise BadRequest('The JSON has several images of the same name; send them as {"images": ["...", ...]}.')
    return members


def _fields(members: Sequence[tuple[str, object]]) -> Iterator[Parameter]:
    """Yield the parameters among the members of the JSON, as text."""
    for name, value in members:
        if name in IMAGES or value is None:
            continue
        if isinstance(value, bool):
            yield name, str(value).lower()
        elif isinstance(value, float) and value.is_integer():
            yield name, str(int(value))
        else:
            yield name, str(value)
