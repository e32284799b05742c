"""Remove the comments of a PPM, PGM or PBM: Pillow takes one right behind a number for a part of the number."""

import re

MAX_HEAD = 4_096  # bytes in which the head is looked for
GAP = rb"(?:\s|#[^\r\n]*[\r\n])+"
HEAD = re.compile(rb"P(?:[14](?:%b\d+){2}|[2356](?:%b\d+){3})(?:#[^\r\n]*)?" % (GAP, GAP))
COMMENT = re.compile(rb"#[^\r\n]*")


def without_comments(upload: bytes) -> bytes | None:
    """Return the same file without the comments of its head; None for one without comments, and for any other file."""
    head = HEAD.match(upload[:MAX_HEAD])
    if head is None or b"#" not in head[0]:
        return None
    return COMMENT.sub(b"", head[0]) + upload[head.end() :]
