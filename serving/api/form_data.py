"""Read the files of a multipart/form-data body that is whole in memory (RFC 2046, section 5.1; RFC 7578).

Not with a library: the package multipart ends a file at a line that only begins like the last boundary, and Werkzeug's
parser reads a hostile body of 32 MB for many seconds; here each step looks at the body once, and at few places.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

from werkzeug.http import parse_options_header

from serving.errors import BadRequest, TooLarge

BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
REST_OF_LINE = re.compile(rb"(--)?[ \t]*+(?:\r?\n|\Z)")
BLANK_LINE = re.compile(rb"\r?\n\r?\n")
DISPOSITION = re.compile(rb"^content-disposition[ \t]*:(.*)$", re.IGNORECASE | re.MULTILINE)
NEWLINE = ord("\n")
MAX_LOOKALIKES = 1_000  # of the boundary in the files: a hostile body has millions, and a file almost never one
MAX_HEAD_BYTES = 16_384  # of a part: more than any browser or client writes


def read_files(body: bytes, boundary: str, max_parts: int) -> list[bytes]:
    """Return the content of each part that has a file name, in order; raises BadRequest and TooLarge."""
    if not BOUNDARY.fullmatch(boundary):
        raise BadRequest(
            f"The boundary {boundary[:80]!r} of the multipart body is not valid; use 1 to 70 letters, digits and "
            "hyphens."
        )
    delimiters = _delimiters(body, b"--" + boundary.encode())
    _, start, last = next(delimiters, (0, 0, True))
    if not start:
        raise BadRequest(
            f"The multipart body has no line --{boundary}, its boundary; send the Content-Type that belongs to it."
        )
    files: list[bytes] = []
    parts = 0
    while not last:
        parts += 1
        if parts > max_parts:
            raise TooLarge("The multipart body has too many parts; send the images in several requests.")
        end, following, last = next(delimiters, (-1, 0, True))
        if end < 0:
            raise BadRequest("The multipart body ends in the middle of a part; send it again.")
        content = _content(body, start, end)
        if content is not None:
            files.append(content)
        start = following
    return files


def _delimiters(body: bytes, marker: bytes) -> Iterator[tuple[int, int, bool]]:
    """Yield where each delimiter begins, its line break included, where it ends, and whether it is the last.

    A delimiter begins a line; only white space follows it on that line.
    """
    place, lookalikes = body.find(marker), 0  # much faster than one regular expression for everything
    while place >= 0:
        rest = REST_OF_LINE.match(body, place + len(marker))
        if rest and (place == 0 or body[place - 1] == NEWLINE):
            begin = place - 2 if body[place - 2 : place] == b"\r\n" else max(0, place - 1)
            yield begin, rest.end(), bool(rest[1])
        elif (lookalikes := lookalikes + 1) > MAX_LOOKALIKES:
            raise BadRequest("The boundary of the multipart body is all over its files; choose a longer one.")
        place = body.find(marker, place + 1)


def _content(body: bytes, start: int, end: int) -> bytes | None:
    """Return the content of a part; None for a form field that is not a file."""
    blank = BLANK_LINE.search(body, start, min(end + 4, start + MAX_HEAD_BYTES))
    if not blank:
        raise BadRequest("A part of the multipart body has no blank line after its headers; end them with one.")
    return body[blank.end() : end] if _is_file(body[start : blank.start()]) else None


@lru_cache(maxsize=256)  # the heads of the parts are nearly the same, from request to request
def _is_file(head: bytes) -> bool:
    """Whether the head of a part has a file name; a form without a chosen file has an empty one."""
    try:
        head.decode()
    except UnicodeDecodeError as error:
        raise BadRequest("The header of a part is not UTF-8; name the file in UTF-8 or ASCII.") from error
    disposition = DISPOSITION.search(head)
    if not disposition:
        raise BadRequest(
            "A part of the multipart body has no Content-Disposition; it names the file: form-data; "
            'name="image"; filename="photo.jpg".'
        )
    _, options = parse_options_header(disposition[1].decode().strip())
    return bool(options.get("filename"))
