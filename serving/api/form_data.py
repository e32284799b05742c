"""Read the parts of a multipart/form-data body that is whole in memory (RFC 7578)."""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from multipart import (
    MultipartSegment,
    ParserError,
    ParserLimitReached,
    PushMultipartParser,
    parse_content_disposition,
    parse_options_header,
)
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder

from serving.api.image_text import from_base64
from serving.concurrency import Turn
from serving.errors import BadRequest, TooLarge

# RFC 2046, section 5.1.1, allows 70 characters; some clients, Werkzeug's among them, write more.
BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,199}[0-9A-Za-z'()+_,./:=?-]")
MAX_HEADER_BYTES = 16_384  # of a part's header line: more than any browser or client writes
LONG_HEADER = "Maximum segment header length"  # how the parser's message begins where one is longer
MAX_PART_HEADERS = 128
TOO_MANY_PARTS = "The multipart body has too many parts or headers; send fewer images at once."
MAX_LENIENT_BYTES = 1024 * 1024  # of a body that only Werkzeug's parser reads: it is slow on hostile ones
MAX_NAME_LENGTH = 255  # characters of a file name: file systems allow no more
HEADER_CHARSET = "latin-1"  # reads any header; names in it are then read as UTF-8 where they are
# The head of a part as most clients write it, behind its boundary; the content behind it is not a boundary itself.
COMMON_HEAD = re.compile(
    rb'\r\nContent-Disposition: (form-data; name="[^"\x00-\x1f]{0,255}"(?:; filename="[^"\x00-\x1f]{0,255}")?)'
    rb"(?:\r\nContent-Type: ([\w/.+-]{1,100}))?\r\n\r\n(?!--)"
)
# A parameter of a header: its value in quotes, without its last quote, or without quotes.
PARAMETER = re.compile(r""";\s*([^\s=;"]+)\s*=\s*("(?:\\.|[^\\"])*"|"[^"]*$|[^;]*)""")
# RFC 5987: some clients write it for names beyond ASCII; in pieces, as RFC 2231 has it, filename*0*, filename*1 ...
EXTENDED_NAME = re.compile(r"""\s*"?([\w-]*)'[^']*'([^\s;"]*)""")
# Without quotes but with other than ASCII letters, or without its last quote.
LOOSE_NAME = re.compile(r"""([^"\s].*)|"([^"]*)""")
# Control characters, line separators, and those that turn the direction of the text around them.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class Part(NamedTuple):
    """A part of a form. file: its file name; None without one, empty in a form where no file was chosen."""

    name: str
    file: str | None
    content_type: str
    content: bytes


def read_parts(body: bytes, boundary: str, max_parts: int) -> list[Part]:
    """Return the parts in order; raises BadRequest and TooLarge.

    A form as most clients write it needs no parser. The parser multipart wants other bodies as browsers write them.
    Small ones written by hand (lines that end in a line feed alone, padding behind a boundary, a boundary's look within
    a file) are left to Werkzeug's, which is more lenient.
    """
    if not BOUNDARY.fullmatch(boundary):
        raise BadRequest(
            f"The boundary {boundary[:80]!r} of the multipart body is not valid; use 1 to 200 letters, digits and "
            "hyphens, or let the client write the Content-Type itself (curl -F image=@photo.jpg URL, without -H)."
        )
    delimiter = b"--" + boundary.encode()
    if (parts := _read_common_form(body, delimiter, max_parts)) is not None:
        return parts
    # An empty field without the line break of its boundary, as Werkzeug's client writes it.
    body = body.replace(b'"\r\n\r\n' + delimiter, b'"\r\n\r\n\r\n' + delimiter)
    try:
        return list(_read_strictly(body, boundary, max_parts))
    except ParserLimitReached as error:
        if error.args[0].startswith(LONG_HEADER):
            raise TooLarge(
                f"A header of a part is longer than {MAX_HEADER_BYTES:,} bytes; shorten the file name."
            ) from error
        raise TooLarge(TOO_MANY_PARTS) from error
    except ParserError as error:
        return _read_leniently(body, boundary, max_parts, error)


def _read_common_form(body: bytes, delimiter: bytes, max_parts: int) -> list[Part] | None:
    """Return the parts that the parser would, in a fraction of its time; None for any body that it has to read.

    Each boundary must be followed by a common head or, the last, by two hyphens, and the first must begin the body.
    """
    if not body.startswith(delimiter):
        return None
    parts: list[Part] = []
    place = len(delimiter)  # behind a boundary
    while head := COMMON_HEAD.match(body, place):
        start, end = head.end(), body.find(b"\r\n" + delimiter, head.end())
        if end < 0 or len(parts) == max_parts:
            return None
        name, file, content_type, _ = _common_part(*head.groups(b""))
        parts.append(Part(name, file, content_type, body[start:end]))
        place = end + 2 + len(delimiter)
    return parts if body.startswith(b"--", place) else None


@lru_cache(maxsize=256)  # the heads of a request are nearly the same, and so are those of the next
def _common_part(disposition: bytes, content_type: bytes) -> Part:
    """Return a part without its content, as the parser reads these headers."""
    return _part(disposition.decode(HEADER_CHARSET), parse_options_header(content_type.decode())[0])


def _read_strictly(body: bytes, boundary: str, max_parts: int) -> Iterator[Part]:
    parser = PushMultipartParser(
        boundary,
        max_header_size=MAX_HEADER_BYTES,
        max_header_count=MAX_PART_HEADERS,
        max_segment_count=max_parts,
        header_charset=HEADER_CHARSET,
    )
    part, encoding, turn = Part("", None, "", b""), "", Turn()
    with parser:
        for event in parser.parse(body):
            turn.end_if_long()
            if isinstance(event, MultipartSegment):
                part = _part(event.header("Content-Disposition", ""), event.content_type or "")
                encoding = event.header("Content-Transfer-Encoding", "")
            elif event is None:
                yield part
            else:
                part = part._replace(content=_decode(event, encoding))  # all of it: the body is parsed in one go


def _read_leniently(body: bytes, boundary: str, max_parts: int, refused: ParserError) -> list[Part]:
    """Read a body that the strict parser refused; where this one fails too, raises BadRequest with that reason."""
    malformed = BadRequest(
        f"The multipart body is malformed: {refused.args[0]}; send it whole, with the boundary that its Content-Type "
        "names and lines that end in CRLF."
    )
    if len(body) > MAX_LENIENT_BYTES:
        raise malformed from refused
    try:
        return list(_werkzeug_parts(body, boundary, max_parts))
    except RequestEntityTooLarge as error:
        raise TooLarge(TOO_MANY_PARTS) from error
    except ValueError as error:
        raise malformed from error


def _werkzeug_parts(body: bytes, boundary: str, max_parts: int) -> Iterator[Part]:
    decoder = MultipartDecoder(boundary.encode(), max_parts=max_parts)
    decoder.receive_data(body.decode(HEADER_CHARSET).encode())  # it reads headers in UTF-8 alone
    decoder.receive_data(None)
    part, content, encoding = Part("", None, "", b""), bytearray(), ""
    while not isinstance(event := decoder.next_event(), Epilogue):
        if isinstance(event, (Field, File)):
            headers = event.headers
            kind = parse_options_header(headers.get("content-type", ""))[0]
            part, content = _part(headers["content-disposition"], kind), bytearray()
            encoding = headers.get("content-transfer-encoding", "")
        elif isinstance(event, Data):
            content += event.data
            if not event.more_data:
                yield part._replace(content=_decode(content.decode().encode(HEADER_CHARSET), encoding))


def _decode(content: bytes, encoding: str) -> bytes:
    """Undo base64 (RFC 7578, section 4.7, advises against it; some clients write it as in mail) where it is that."""
    if encoding.strip().lower() != "base64":
        return content
    try:
        decoded = from_base64(content)
    except ValueError:
        return content
    return decoded if isinstance(decoded, bytes) else content  # otherwise it is damaged


def _part(disposition: str, content_type: str) -> Part:
    """Return a part without its content; disposition: the header, read as Latin-1."""
    _, name, file = parse_content_disposition(disposition)
    parameters = {key.lower(): value for key, value in PARAMETER.findall(disposition)}
    extended = _extended_name(parameters)
    if extended is not None:
        file = extended
    else:
        if loose := LOOSE_NAME.fullmatch(parameters.get("filename", "")):
            file = (loose[1] or loose[2]).strip()
        file = None if file is None else read_text(file.encode(HEADER_CHARSET))
    file = None if file is None else UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", file)[:MAX_NAME_LENGTH]
    return Part(read_text((name or "").encode(HEADER_CHARSET)), file, content_type, b"")


def _extended_name(parameters: Mapping[str, str]) -> str | None:
    """Return the file name in an extended parameter or in pieces; None without one, or without its charset."""
    charset, pieces = "", []
    for key in _name_keys(parameters):
        value = parameters[key].strip('"')
        if not key.endswith("*"):
            pieces.append(value.encode(HEADER_CHARSET))
            continue
        if not pieces:  # the first says the charset
            head = EXTENDED_NAME.match(value)
            if not head:
                return None
            charset, value = head.groups()
        pieces.append(unquote_to_bytes(value))
    content = b"".join(pieces)
    if charset.lower() == "iso-8859-1":
        return content.decode("latin-1")
    return read_text(content) if pieces else None


def _name_keys(parameters: Mapping[str, str]) -> list[str]:
    """Return the extended parameter of a file name or, in order, those of its pieces: with an asterisk, encoded."""
    if "filename*" in parameters:
        return ["filename*"]
    keys: list[str] = []
    while key := next((key for end in ("*", "") if (key := f"filename*{len(keys)}{end}") in parameters), ""):
        keys.append(key)
    return keys


def read_text(content: bytes) -> str:
    """Decode text of a form: UTF-8, and Latin-1 where it is not that."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1")
