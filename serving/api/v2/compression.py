"""Compressed bodies, in and out, and never more bytes than the limit."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from flask import Request

from serving.api.intake import Intake
from serving.api.replies import Reply
from serving.api.uploads import IDENTITY
from serving.errors import BadRequest, UnsupportedType

# zlib's window bits by content coding: with gzip's head and tail, or with zlib's own (RFC 9110, section 8.4.1).
WINDOW_BITS = {"gzip": zlib.MAX_WBITS + 16, "deflate": zlib.MAX_WBITS}
LEVEL = 1  # the fastest: numbers hardly become smaller with more effort


@contextmanager
def read_content(request: Request, intake: Intake) -> Iterator[bytes]:
    """Yield the decompressed body; its memory is reserved until the block ends."""
    coding = request.headers.get("Content-Encoding", "").strip().lower()
    if coding not in (*IDENTITY, *WINDOW_BITS):
        raise UnsupportedType(
            f"Content-Encoding {coding[:20]!r} is unsupported; send gzip, deflate, or the body uncompressed."
        )
    with intake.reserve_memory(request.environ):
        body = intake.read_body(request.environ)
        if coding in IDENTITY:
            yield body
            return
        content = _decompress(body, coding, intake)
        with intake.memory.reserve(len(content)):
            yield content


def compress(reply: Reply, request: Request) -> Reply:
    """Return the reply in the content coding that the client prefers."""
    coding = request.accept_encodings.best_match(("identity", *WINDOW_BITS), "identity")
    if coding == "identity":
        return reply
    compressor = zlib.compressobj(LEVEL, wbits=WINDOW_BITS[coding])
    body = compressor.compress(reply.body) + compressor.flush()
    return replace(reply, body=body, headers={**reply.headers, "Content-Encoding": coding})


def _decompress(body: bytes, coding: str, intake: Intake) -> bytes:
    """Decompress a body, but never to more than the limit."""
    decompressor = zlib.decompressobj(WINDOW_BITS[coding])
    try:
        content = decompressor.decompress(body, intake.max_body + 1)
    except zlib.error as error:
        raise BadRequest(f"The body is not {coding}, as its Content-Encoding says: {error}.") from error
    if len(content) > intake.max_body:
        raise intake.too_large()
    if not decompressor.eof or decompressor.unused_data:
        fault = "ends early" if not decompressor.eof else "has bytes behind its end"
        raise BadRequest(f"The {coding} data of the body {fault}; send it again.")
    return content
