"""Read the files of a multipart/form-data body that is whole in memory (RFC 7578)."""

from collections.abc import Iterator

from multipart import MultipartSegment, ParserError, ParserLimitReached, PushMultipartParser
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.sansio.multipart import Data, Epilogue, File, MultipartDecoder

from serving.errors import BadRequest, TooLarge

MAX_HEADER_BYTES = 16_384  # of a part's header line: more than any browser or client writes
MAX_PART_HEADERS = 16


def read_files(body: bytes, boundary: str, max_parts: int) -> list[bytes]:
    """Return the content of each part that has a file name, in order; raises BadRequest and TooLarge.

    Bodies that RFC 2046 allows and browsers never send (padding behind a boundary, a boundary's look within a file),
    and those whose lines end in a line feed alone, are left to Werkzeug's parser, which is slower and more lenient.
    """
    try:
        try:
            return list(_read_strictly(body, boundary, max_parts))
        except ParserError as error:
            return _read_leniently(body, boundary, max_parts, error)
    except UnicodeDecodeError as error:
        raise BadRequest("The header of a part is not UTF-8; name the file in UTF-8 or ASCII.") from error
    except (ParserLimitReached, RequestEntityTooLarge) as error:
        raise TooLarge("The multipart body has too many parts; send the images in several requests.") from error


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
    """Read a body that the strict parser refused; raises BadRequest with that parser's reason."""
    decoder = MultipartDecoder(boundary.encode(), max_parts=max_parts)
    decoder.receive_data(body)
    decoder.receive_data(None)
    files: list[bytearray] = []
    is_file = False
    try:
        while not isinstance(event := decoder.next_event(), Epilogue):
            if isinstance(event, Data):
                if is_file:
                    files[-1] += event.data
            elif is_file := isinstance(event, File) and bool(event.filename):
                files.append(bytearray())
    except UnicodeDecodeError:
        raise
    except ValueError as error:
        raise BadRequest(f"The multipart body is malformed: {refused}.") from error
    return [bytes(file) for file in files]


def _is_file(part: MultipartSegment) -> bool:
    """Whether a part has a file name; a form without a chosen file has an empty one.

    RFC 5987's filename*, which the parser ignores, counts: some clients write it for names beyond ASCII.
    """
    return bool(part.filename) or any("filename*=" in value for _, value in part.headerlist)
