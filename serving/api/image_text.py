"""An image written as text: base64, in any of the ways in which it is written, or a data: URL."""

import base64
import re
from urllib.parse import unquote_to_bytes

from serving.errors import BadRequest, Refusal, TooLarge

MAX_PERCENT_ENCODED = 250_000  # characters: three times the size of the bytes, and slow to decode
DATA_URL = re.compile(r'data:((?:[^,"]|"[^"]{0,200}"){0,200}),', re.IGNORECASE)  # a comma may stand in quotes
IS_BASE64 = re.compile(r";\s*base64\s*(?:;|$)", re.IGNORECASE)
# At most 99 blanks: the expression takes memory for each that it repeats.
ENCODED_DATA_URL = re.compile(r"data%3A[^,]{0,300}?%3B(?:%20){0,99}base64(?:%2C|,)", re.IGNORECASE)
ADDRESS = re.compile(r"(?!data:)[a-z][a-z0-9+.-]{0,30}:", re.IGNORECASE)  # a URL's scheme, or the letter of a drive
ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
EXCERPT_LENGTH = 24  # characters around what is not of base64
QUOTES_PER_IMAGE = 16  # of JSON with images: two around each, and those that a data: URL may have in it
# What may be percent-encoded in base64: its own characters beside letters and digits, blanks and line breaks.
ESCAPED = b"+/=-_ \t\r\n"
BLANKS = b" \t\r\n\f\v"
LINES = bytes.maketrans(b"\t\r\f\v", b"\n\n\n\n")
URL_SAFE = bytes.maketrans(b"-_", b"+/")
LOST_PLUS = (
    "The base64 of the image has a blank inside a line, where a + was: a form or a query string makes + a blank. Send "
    "the base64 in JSON as it is, or with each + written as %2B."
)


def decode_text(text: str) -> bytes | Refusal:
    """Return the bytes of base64 or of a data: URL, or the refusal of it."""
    text = text.strip()
    if ADDRESS.match(text):
        return BadRequest("Images are not fetched from URLs or files; send the image itself, as base64.")
    head = DATA_URL.match(text)
    if head and not IS_BASE64.search(head[1]):
        return _from_percent_encoding(text[head.end() :])
    head = head or ENCODED_DATA_URL.match(text)
    try:
        return from_base64(text[head.end() if head else 0 :].encode("ascii"))
    except UnicodeEncodeError:
        return BadRequest("The image is not valid base64: it has characters beyond ASCII.")
    except ValueError as error:  # binascii.Error is one
        return BadRequest(f"The image is not valid base64: {error}.")


def from_base64(text: bytes) -> bytes | Refusal:
    """Decode base64 with or without its padding, url-safe, percent-encoded or in lines; raises ValueError."""
    if b"%" in text:
        for escape in ("%%%02X", "%%%02x"):
            for code in ESCAPED:
                text = text.replace((escape % code).encode(), bytes([code]))
    lost_plus = b" " in text and _has_blank_inside_a_line(text)
    plain = text.translate(URL_SAFE, BLANKS)
    if foreign := plain.translate(None, ALPHABET)[:1]:
        start = max(0, plain.index(foreign) - EXCERPT_LENGTH // 2)
        excerpt = text.translate(None, BLANKS)[start : start + EXCERPT_LENGTH].decode()
        raise ValueError(f"{foreign.decode()!r} in {excerpt!r} is not a character of base64")
    if lost_plus:
        return BadRequest(LOST_PLUS)
    if b"=" not in plain:
        plain += b"=" * (-len(plain) % 4)
    return base64.b64decode(plain, validate=True)


def _has_blank_inside_a_line(text: bytes) -> bool:
    """Whether there is a blank elsewhere than at the ends of lines; in steps that take no longer on hostile text."""
    text = text.translate(LINES)
    while b"  " in text:
        text = text.replace(b"  ", b" ")
    return b" " in text.replace(b" \n", b"\n").replace(b"\n ", b"\n").strip()


def _from_percent_encoding(text: str) -> bytes | Refusal:
    if len(text) > MAX_PERCENT_ENCODED:
        return TooLarge(
            f"The data: URL has {len(text):,} characters; without base64 the limit is {MAX_PERCENT_ENCODED:,}. Send it "
            "as base64."
        )
    return unquote_to_bytes(text)
