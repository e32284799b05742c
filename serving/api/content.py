"""The content of a request: its body, with the Content-Encoding undone, and never more bytes than the limit."""

import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from wsgiref.types import WSGIEnvironment

from serving.api.intake import Intake
from serving.concurrency import Turn
from serving.errors import BadRequest, UnsupportedType

IDENTITY = ("", "identity")  # the content codings that change nothing
# zlib's window bits by content coding: with gzip's head and tail, or with zlib's own (RFC 9110, section 8.4.1).
WINDOW_BITS = {"gzip": zlib.MAX_WBITS + 16, "deflate": zlib.MAX_WBITS}
RAW_WINDOW_BITS = -zlib.MAX_WBITS  # of deflate without zlib's head, as some clients send it (RFC 9110, section 8.4.1.2)
ZLIB_METHOD, ZLIB_CHECK = 8, 31  # of the head: the method, and what divides its two bytes (RFC 1950, section 2.2)
NO_HEAD = "incorrect header check"  # in zlib's message where what begins is of another kind
ALIASES = {"x-gzip": "gzip"}  # RFC 9110, section 8.4.1.3
MAX_MEMBERS = 1_000  # of a gzip body (RFC 1952, section 2.2); each takes time, even an empty one
PIECE_BYTES = 1024 * 1024  # inflated in one go, which takes milliseconds; other requests go on in between


def read_content(environ: WSGIEnvironment, intake: Intake) -> AbstractContextManager[bytes]:
    """Return the block in which the inflated body is at hand; its memory is reserved until then. Raises Refusal."""
    if "HTTP_CONTENT_ENCODING" not in environ and intake.has_arrived(environ):  # as small ones do
        return nullcontext(intake.read_body(environ, ExitStack()))
    return _read_content(environ, intake)


@contextmanager
def _read_content(environ: WSGIEnvironment, intake: Intake) -> Iterator[bytes]:
    coding = environ.get("HTTP_CONTENT_ENCODING", "").strip().lower()
    coding = ALIASES.get(coding, coding)
    if coding not in IDENTITY and coding not in WINDOW_BITS:
        raise UnsupportedType(
            f"Content-Encoding {coding[:20]!r} is unsupported; send gzip, deflate, or the body uncompressed."
        )
    with ExitStack() as reserved:
        body = intake.read_body(environ, reserved)
        yield body if coding in IDENTITY else _inflate_within_limits(body, coding, intake, reserved)


def _inflate_within_limits(body: bytes, coding: str, intake: Intake, reserved: ExitStack) -> bytes:
    """Return the inflated body; reserved: takes the reservations of its memory, which is reserved as it grows."""
    pieces, size, turn = [], 0, Turn()
    for piece in _inflate(body, coding, intake.max_body + 1):
        size += len(piece)
        if size > intake.max_body:
            raise intake.too_large()
        reserved.enter_context(intake.memory.reserve(len(piece)))
        pieces.append(piece)
        turn.end_if_long()
    return b"".join(pieces)


def _inflate(body: bytes, coding: str, max_bytes: int) -> Iterator[bytes]:
    """Yield an inflated body in pieces, max_bytes in all at most. Raises BadRequest when it is not of this coding."""
    window = RAW_WINDOW_BITS if coding == "deflate" and not _has_zlib_head(body) else WINDOW_BITS[coding]
    decompressor = zlib.decompressobj(window)
    left, members = max_bytes, 1
    for start in range(0, len(body), PIECE_BYTES):
        data = body[start : start + PIECE_BYTES]
        while left:
            if decompressor.eof:
                if coding != "gzip" or members == MAX_MEMBERS:
                    raise BadRequest(f"The {coding} data of the body has bytes after its end; send it again.")
                decompressor, members = zlib.decompressobj(WINDOW_BITS[coding]), members + 1
            size = min(PIECE_BYTES, left)
            try:
                piece = decompressor.decompress(data, size)
            except zlib.error as error:
                what = "body" if members == 1 else f"body's member {members}"
                if window != RAW_WINDOW_BITS and NO_HEAD not in str(error):
                    raise BadRequest(f"The {coding} data of the {what} is damaged: {error}; send it again.") from error
                raise BadRequest(f"The {what} is not {coding}, as its Content-Encoding says: {error}.") from error
            yield piece
            left -= len(piece)
            data = decompressor.unused_data if decompressor.eof else decompressor.unconsumed_tail
            if not data and (decompressor.eof or len(piece) < size):
                break
    if left and not decompressor.eof:
        raise BadRequest(f"The {coding} data of the body ends early; send it again.")


def _has_zlib_head(body: bytes) -> bool:
    return len(body) < 2 or (body[0] & 15 == ZLIB_METHOD and int.from_bytes(body[:2], "big") % ZLIB_CHECK == 0)
