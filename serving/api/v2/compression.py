"""Compressed replies."""

import zlib
from dataclasses import replace

from flask import Request

from serving.api.content import WINDOW_BITS
from serving.api.replies import Reply

LEVEL = 1  # the fastest: numbers hardly become smaller with more effort


def compress(reply: Reply, request: Request) -> Reply:
    """Return the reply in the content coding that the client prefers."""
    coding = request.accept_encodings.best_match(("identity", *WINDOW_BITS), "identity")
    if coding == "identity":
        return reply
    compressor = zlib.compressobj(LEVEL, wbits=WINDOW_BITS[coding])
    body = compressor.compress(reply.body) + compressor.flush()
    return replace(reply, body=body, headers={**reply.headers, "Content-Encoding": coding})
