"""Compressed bodies, in and out: a small one must not become more than is taken."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from flask import Request

from serving.api.replies import Reply
from serving.api.uploads import PLAIN, Limits, held, read_body
from serving.errors import BadRequest, UnsupportedType

# By the coding's name, zlib's word for its head and tail: those of gzip, or its own (RFC 9110, section 8.4.1).
WINDOWS = {"gzip": zlib.MAX_WBITS + 16, "deflate": zlib.MAX_WBITS}
FAST = 1  # level: numbers hardly become smaller with more effort


@contextmanager
def read_content(request: Request, limits: Limits) -> Iterator[bytes]:
    """Yield what the body says once its compression is undone; the memory for that is held until the block ends."""
    coding = request.headers.get("Content-Encoding", "").strip().lower()
    if coding not in (*PLAIN, *WINDOWS):
        raise UnsupportedType(
            f"Content-Encoding {coding[:20]!r} is not taken; send gzip, deflate, or the body as it is."
        )
    with held(request.environ, limits):
        body = read_body(request.environ, limits)
        if coding in PLAIN:
            yield body
            return
        content = _inflated(body, coding, limits)
        with limits.memory.hold(len(content)):
            yield content


def compressed(reply: Reply, request: Request) -> Reply:
    """Return the reply in the coding that the client likes best."""
    coding = request.accept_encodings.best_match(("identity", *WINDOWS), "identity")
    if coding == "identity":
        return reply
    packer = zlib.compressobj(FAST, wbits=WINDOWS[coding])
    body = packer.compress(reply.body) + packer.flush()
    return replace(reply, body=body, headers={**reply.headers, "Content-Encoding": coding})


def _inflated(body: bytes, coding: str, limits: Limits) -> bytes:
    """Undo a compression, but no further than the limit on a body."""
    unpacker = zlib.decompressobj(WINDOWS[coding])
    try:
        content = unpacker.decompress(body, limits.body + 1)
    except zlib.error as error:
        raise BadRequest(f"The body is not {coding}, as its Content-Encoding says: {error}.") from error
    if len(content) > limits.body:
        raise limits.too_large()
    if not unpacker.eof or unpacker.unused_data:
        what = "breaks off" if not unpacker.eof else "goes on behind its end"
        raise BadRequest(f"The {coding} of the body {what}; send it again.")
    return content
