"""Advice for the sender of a body that is not what its Content-Type says, so that the next try succeeds."""

import re

import msgspec

from serving.errors import UnreadableImage, UnsupportedType

FORM = "application/x-www-form-urlencoded"
SEND_IMAGE = "Send the image as the body: curl --data-binary @photo.jpg -H 'Content-Type: image/jpeg' URL"
SEND_BINARY = (
    "curl -d removes line breaks and null bytes from a file; send it with --data-binary: "
    "curl --data-binary @photo.jpg -H 'Content-Type: image/jpeg' URL"
)
# The first bytes of the formats, as far as they survive curl -d; AVIF and HEIC begin with a length.
IMAGE = re.compile(rb"\x89PNG|\xff\xd8\xff|GIF8|RIFF|BM|II\*|MM\x00?\*|P[1-6]|.{0,4}ftyp", re.DOTALL)
TEXT_IMAGE = re.compile(rb"P[1-6][\s#0-9]")
NETPBM = re.compile(rb"P[1-6]\s")  # the one format that may have none of the bytes that curl -d removes
REMOVED = re.compile(rb"[\0\r\n]")  # by curl -d
JSON_START = 64  # bytes in which JSON begins, even behind blanks
TEXT_STARTS = b"{- \t\r\n"  # the first byte of JSON and of forms
# What msgspec raises for malformed JSON; the last for lists nested a thousand deep.
JSON_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
WRAPPED = re.compile(rb"[A-Za-z0-9+/]\r?\n[A-Za-z0-9+/=]")  # a line break in base64, and nowhere in JSON
WRAPPED_START = 100_000  # bytes in which the first line of base64 ends: all of a large body keep the others waiting
UNWRAP = " A text in JSON has no line breaks: write the base64 in one line (base64 -w0)."


def check_image_body(kind: str, body: bytes) -> str:
    """Check that the body is an image as far as that shows without reading it.

    kind: its media type. Returns what to add to the refusal of it where it turns out to be unreadable, if anything.
    Raises UnsupportedType and UnreadableImage.
    """
    if body[0] in TEXT_STARTS and (_is_json(body) or _is_form(body)):
        raise unsupported_type(kind, body)
    if b"\n" in body or not (kind == FORM or IMAGE.match(body)):
        return ""
    if not (REMOVED.search(body) or NETPBM.match(body)):
        raise UnreadableImage(f"The {len(body):,} bytes are not a whole image. {SEND_BINARY}")
    return f" {SEND_BINARY}"


def is_image_in_a_form_type(body: bytes) -> bool:
    """Whether a body that came as a URL-encoded form is an image: curl sends that type with any file."""
    return not body.isascii() or b"\0" in body or TEXT_IMAGE.match(body) is not None


def unsupported_type(kind: str, body: bytes) -> UnsupportedType:
    """Return the refusal of a body with this media type."""
    kind = kind[:120]
    if _is_json(body):
        return UnsupportedType(
            f"The body is JSON, but its Content-Type is {kind!r}; send it with application/json (with curl: "
            "-H 'Content-Type: application/json')."
        )
    if _is_form(body):
        return UnsupportedType(
            f"The body is a form with files, but its Content-Type is {kind!r}; let the client write that header itself "
            "(curl -F image=@photo.jpg URL, without -H)."
        )
    if kind == FORM:
        return UnsupportedType(
            f"Content-Type {kind!r} is unsupported. {SEND_IMAGE}, or a form with files: curl -F image=@photo.jpg URL, "
            "or base64 in JSON with -H 'Content-Type: application/json'."
        )
    if b"\n" not in body and IMAGE.match(body):  # older ones leave null bytes: then it may be whole as well
        advice = SEND_IMAGE if REMOVED.search(body) else SEND_BINARY
        return UnsupportedType(f"Content-Type {kind!r} is unsupported. {advice}")
    return UnsupportedType(
        f"Content-Type {kind!r} is unsupported; send image/*, application/octet-stream, multipart/form-data or "
        "application/json (with curl: -H 'Content-Type: image/png')."
    )


def _is_json(body: bytes) -> bool:
    """Whether the body is a JSON object."""
    if not body[:JSON_START].lstrip().startswith(b"{"):
        return False
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
    except JSON_ERRORS:
        return False
    return True


def advise_json(body: bytes) -> str:
    """Return what to add to the refusal of malformed JSON, if anything."""
    return UNWRAP if WRAPPED.search(body, 0, WRAPPED_START) else ""


def _is_form(body: bytes) -> bool:
    """Whether the body is multipart/form-data."""
    return body.startswith(b"--") and b"form-data" in body[:512]
