"""Read the files of a multipart/form-data body that is whole in memory (RFC 7578)."""

import re
from collections.abc import Iterator

from multipart import MultipartSegment, ParserError, ParserLimitReached, PushMultipartParser
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, File, MultipartDecoder

from serving.errors import BadRequest, TooLarge

BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")  # RFC 2046, section 5.1.1
MAX_HEADER_BYTES = 16_384  # of a part's header line: more than any browser or client writes
MAX_PART_HEADERS = 128
MAX_LENIENT_BYTES = 1024 * 1024  # of a body that only Werkzeug's parser reads: it is slow on hostile ones


def read_files(body: bytes, boundary: str, max_parts: int) -> list[bytes]:
    """Return the content of each part that has a file name, in order; raises BadRequest and TooLarge.

    The parser multipart wants bodies as browsers write them. Small ones written by hand (lines that end in a line feed
    alone, padding behind a boundary, a boundary's look within a file) are left to Werkzeug's, which is more lenient.
    """
    if not BOUNDARY.fullmatch(boundary):
        raise BadRequest(
            f"The boundary {boundary[:80]!r} of the multipart body is not valid; use 1 to 70 letters, digits and "
            "hyphens."
        )
    try:
        return list(_read_strictly(body, boundary, max_parts))
    except ParserLimitReached as error:
        raise TooLarge("The multipart body has too many parts or headers; send fewer images at once.") from error
    except ParserError as error:
        return _read_leniently(body, boundary, max_parts, error)


def _read_strictly(body: bytes, boundary: str, max_parts: int) -> Iterator[bytes]:
    parser = PushMultipartParser(
        boundary,
        max_header_size=MAX_HEADER_BYTES,
        max_header_count=MAX_PART_HEADERS,
        max_segment_count=max_parts,
    )
    content: bytes | None = None  # None in a part that is not a file
    with parser:
        for event in parser.parse(body):
            if isinstance(event, MultipartSegment):
                content = b"" if _is_file(event) else None
            elif event is None and content is not None:
                yield content
            elif event is not None and content is not None:
                content = event  # all of it: the body is parsed in one go


def _read_leniently(body: bytes, boundary: str, max_parts: int, refused: ParserError) -> list[bytes]:
    """Read a body that the strict parser refused; where this one fails too, raises BadRequest with that reason."""
    malformed = BadRequest(
        f"The multipart body is malformed: {refused.args[0]}; send it whole, with the boundary that its Content-Type "
        "names and lines that end in CRLF."
    )
    if len(body) > MAX_LENIENT_BYTES:
        raise malformed from refused
    try:
        return list(_werkzeug_files(body, boundary, max_parts))
    except RequestEntityTooLarge as error:
        raise TooLarge("The multipart body has too many parts or headers; send fewer images at once.") from error
    except UnicodeDecodeError as error:
        raise BadRequest("A header of the multipart body is not UTF-8; name the file in UTF-8 or ASCII.") from error
    except ValueError as error:
        raise malformed from error


def _werkzeug_files(body: bytes, boundary: str, max_parts: int) -> Iterator[bytes]:
    decoder = MultipartDecoder(boundary.encode(), max_parts=max_parts)
    decoder.receive_data(body)
    decoder.receive_data(None)
    content: bytearray | None = None  # None in a part that is not a file
    while not isinstance(event := decoder.next_event(), Epilogue):
        if not isinstance(event, Data):
            content = bytearray() if isinstance(event, File) and event.filename else None
        elif content is not None:
            content += event.data
            if not event.more_data:
                yield bytes(content)


def _is_file(part: MultipartSegment) -> bool:
    """Whether a part has a file name; a form without a chosen file has an empty one.

    RFC 5987's filename*, which the parser ignores, counts: some clients write it for names beyond ASCII.
    """
    if part.filename is not None:
        return bool(part.filename)
    dispositions = (value for name, value in part.headerlist if name == "Content-Disposition" and "*=" in value)
    return any(parse_options_header(value)[1].get("filename") for value in dispositions)
