"""python -m serving.keys: make the keys that clients send."""

import argparse
import hashlib
import re
import secrets
import sys
from collections.abc import Sequence

from serving.access.key_file import CLASSIFY, NAME, SCOPES

PREFIX = "thimble_"  # by which people and scanners for leaked secrets know a key
RANDOM_BYTES = 32


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m serving.keys", description="Make keys for THIMBLE_KEYS_FILE.")
    new = parser.add_subparsers(required=True, metavar="new").add_parser("new", help="make a key, and print it once")
    new.add_argument("name", metavar="NAME", help="whose key it is; the log has this name")
    new.add_argument(
        "--scope",
        action="append",
        metavar="SCOPE",
        help=f"what it allows: {', '.join(SCOPES)} (default {CLASSIFY}); several with commas, or give it again",
    )
    options = parser.parse_args(arguments)
    scopes = [scope for text in options.scope or [CLASSIFY] for scope in re.split(r"[,\s]+", text)]
    if not NAME.fullmatch(options.name):
        parser.error(f"NAME {options.name!r} is not up to 64 letters, digits, '.', '_', '@', '+' and '-'")
    if unknown := sorted({*scopes} - {*SCOPES}):
        parser.error(f"--scope {unknown[0]!r} is not one of {', '.join(SCOPES)}")
    try:
        _make(options.name, list(dict.fromkeys(scopes)))
    except OSError as error:
        print(f"serving.keys: the key cannot be written: {error.strerror}; make another", file=sys.stderr)
        return 1
    return 0


def _make(name: str, scopes: Sequence[str]) -> None:
    """Write a new key and its line to standard output, and to standard error which is which."""
    key = PREFIX + secrets.token_urlsafe(RANDOM_BYTES)
    line = f"{name} {hashlib.sha256(key.encode()).hexdigest()} {','.join(scopes)}"
    for meaning, text in (("The key, shown only now:", key), ("Its line, for the file of keys:", line)):
        print(meaning, file=sys.stderr, flush=True)
        print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
