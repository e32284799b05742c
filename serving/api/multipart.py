"""multipart/form-data, whole in memory and split at its boundaries (RFC 2046, section 5.1; RFC 7578)."""

import re
from collections.abc import Iterator
from functools import lru_cache

from werkzeug.http import parse_options_header

BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
REST_OF_LINE = re.compile(rb"(--)?[ \t]*(?:\r?\n|\Z)")
BLANK_LINE = re.compile(rb"\r?\n\r?\n")
MOST_OTHERS = 1_000  # places with the look of a boundary: a hostile body has millions, and a file almost never one
NEWLINE = ord("\n")
LONGEST_HEAD = 16_384  # bytes of a part's head: more than any browser or client writes
DISPOSITION = re.compile(rb"^content-disposition[ \t]*:(.*)$", re.IGNORECASE | re.MULTILINE)


class MultipartError(ValueError):
    """A body that is not what its boundary says."""


def files(body: bytes, boundary: str, most_parts: int) -> Iterator[bytes]:
    """Yield the content of each part that has a file name, in their order.

    Raises MultipartError, UnicodeDecodeError for a head that is not UTF-8, and OverflowError for too many parts.
    """
    if not BOUNDARY.fullmatch(boundary):
        raise MultipartError("it names no boundary, or one that cannot be")
    delimiters = _delimiters(body, b"--" + boundary.encode())
    _, start, last = next(delimiters, (0, 0, True))
    if not start:
        raise MultipartError("its boundary is not in it")
    parts = 0
    while not last:
        parts += 1
        if parts > most_parts:
            raise OverflowError
        end, following, last = next(delimiters, (-1, 0, True))
        if end < 0:
            raise MultipartError("it ends in the midst of a part")
        content = _content(body, start, end)
        if content is not None:
            yield content
        start = following


def _delimiters(body: bytes, marker: bytes) -> Iterator[tuple[int, int, bool]]:
    """Yield where each delimiter begins, with the line break before it, where it ends, and whether it is the last.

    It stands at the start of a line, and nothing but white space follows it on that.
    """
    place, others = body.find(marker), 0  # which is much faster than one regular expression for all
    while place >= 0:
        rest = REST_OF_LINE.match(body, place + len(marker))
        if rest and (place == 0 or body[place - 1] == NEWLINE):
            begin = place - 2 if body[place - 2 : place] == b"\r\n" else max(0, place - 1)
            yield begin, rest.end(), bool(rest[1])
        elif (others := others + 1) > MOST_OTHERS:
            raise MultipartError("its boundary is in the files all over; take a longer one")
        place = body.find(marker, place + 1)


def _content(body: bytes, start: int, end: int) -> bytes | None:
    """Return the content of a part, or None if it is a form's field and no file."""
    blank = BLANK_LINE.search(body, start, min(end + 4, start + LONGEST_HEAD))
    if not blank:
        raise MultipartError("a part of it has no end to its head")
    return body[blank.end() : end] if _is_file(body[start : blank.start()]) else None


@lru_cache(maxsize=256)  # the parts of a request have nearly the same heads, and so have those of the next
def _is_file(head: bytes) -> bool:
    """Whether a part's head names a file; a form with no file chosen names an empty one."""
    head.decode()  # raises UnicodeDecodeError
    disposition = DISPOSITION.search(head)
    if not disposition:
        raise MultipartError("a part of it has no Content-Disposition")
    _, options = parse_options_header(disposition[1].decode().strip())
    return bool(options.get("filename"))
