"""The keys of clients: one a line of a file, as NAME SHA256HEX [SCOPE,...]. The keys themselves are stored nowhere."""

import hmac
import logging
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from serving import regular_file

CLASSIFY, METRICS, ADMIN = "classify", "metrics", "admin"
SCOPES = (CLASSIFY, METRICS, ADMIN)
NAME = re.compile(r"[A-Za-z0-9._@+-]{1,64}")
DIGEST = re.compile(r"(?:sha256:)?([0-9a-fA-F]{64})")
WORD = re.compile(r"[A-Za-z]{1,16}")
INDEX_BYTES = 8  # of a digest: enough to find a key by, and too few to tell anything
MAX_BYTES = 16 << 20  # a hundred thousand keys
READ_INTERVAL = 1.0  # seconds: a revoked key fails within two
ADVICE = "python -m serving.keys new NAME prints a line"

log = logging.getLogger(__name__)


class KeyFileError(ValueError):
    """A file of keys cannot be used; the message says which line, and why. It never has what may be a key."""


@dataclass(frozen=True)
class Key:
    """A key without its text. digest: its SHA-256."""

    name: str
    digest: bytes
    scopes: frozenset[str]


def read_keys(path: Path) -> Mapping[bytes, Key]:
    """Return the keys of a file, by the first bytes of their digests; raises KeyFileError."""
    return _parse(_read(path))


class KeyFile:
    """Finds keys in a file, which it reads again once a second; while that is broken, the keys before stay in force.

    The worker refreshes it too: otherwise a worker without requests misses a sound change that a broken one follows.
    """

    def __init__(self, path: Path) -> None:
        """A file that is broken from the start allows nobody."""
        self._path = path
        self._content: bytes | None = None
        self._fault = ""
        self._keys: Mapping[bytes, Key] = {}
        self._read_at = 0.0
        self.refresh()

    def find(self, digest: bytes) -> Key | None:
        """Return the key with this digest; None where there is none."""
        self.refresh()
        key = self._keys.get(digest[:INDEX_BYTES])
        return key if key and hmac.compare_digest(key.digest, digest) else None

    def refresh(self) -> None:
        """Read the file, if that is due."""
        if time.monotonic() < self._read_at:
            return
        self._read_at = time.monotonic() + READ_INTERVAL
        try:
            content = _read(self._path)
            if content == self._content and not self._fault:
                return
            self._keys, self._content, self._fault = _parse(content), content, ""
            log.info("%s: %d keys in force", self._path, len(self._keys))
        except KeyFileError as error:
            if str(error) != self._fault:
                self._fault = str(error)
                log.error("%s: %s; the keys read before stay in force: %d", self._path, error, len(self._keys))


def _read(path: Path) -> bytes:
    try:
        return regular_file.read(path, MAX_BYTES, "a file of keys")
    except regular_file.RegularFileError as error:
        raise KeyFileError(str(error)) from error


def _parse(content: bytes) -> dict[bytes, Key]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise KeyFileError("is not text in UTF-8") from error
    keys: dict[bytes, Key] = {}
    for number, words in _lines(text):
        key = _key(number, words)
        if key.digest[:INDEX_BYTES] in keys:
            raise KeyFileError(f"line {number}: the key of {key.name!r} has a line already; remove one")
        keys[key.digest[:INDEX_BYTES]] = key
    return keys


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield number and words of each line, but for empty ones and comments."""
    for number, line in enumerate(text.splitlines(), start=1):
        if words := line.partition("#")[0].replace(",", " ").split():
            yield number, words


def _key(number: int, words: list[str]) -> Key:
    name, digest, scopes = words[0], DIGEST.fullmatch(words[1]) if len(words) > 1 else None, words[2:]
    if not NAME.fullmatch(name):
        raise KeyFileError(
            f"line {number}: its first word is not a name: up to 64 letters, digits, '.', '_', '@', '+' and '-'"
        )
    if digest is None:
        raise KeyFileError(
            f"line {number}: the second word is not the SHA-256 of a key, which has 64 hexadecimal digits; {ADVICE}"
        )
    for scope in scopes:
        if scope not in SCOPES:
            shown = repr(scope) if WORD.fullmatch(scope) else "one of the words after the SHA-256"
            raise KeyFileError(f"line {number}: {shown} is not a scope. Scopes: {', '.join(SCOPES)}")
    return Key(name, bytes.fromhex(digest[1]), frozenset(scopes or (CLASSIFY,)))
