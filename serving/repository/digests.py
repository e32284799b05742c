"""The model files that may be served, where an operator lists them: sha256:...  NAME/VERSION, one a line."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from serving import regular_file

MAX_BYTES = 16 << 20  # a hundred thousand lines
LINE = re.compile(r"(sha256:[0-9a-fA-F]{64})\s+([A-Za-z0-9._-]+/[1-9][0-9]*)")


class DigestsError(ValueError):
    """A list of digests cannot be used; the message says which line, and why."""


@dataclass(frozen=True)
class ModelDigests:
    """The digests by NAME/VERSION, and the file that lists them."""

    file: Path
    digests: dict[str, str]

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read a list; empty lines and what follows a # are ignored. Raises DigestsError."""
        try:
            content = regular_file.read(file, MAX_BYTES, "a list of digests")
            lines = content.decode("utf-8-sig").splitlines()
        except regular_file.RegularFileError as error:
            raise DigestsError(str(error)) from error
        except UnicodeDecodeError as error:
            raise DigestsError("is not text in UTF-8") from error
        digests: dict[str, str] = {}
        for number, line in enumerate(lines, start=1):
            if not (text := line.partition("#")[0].strip()):
                continue
            match = LINE.fullmatch(text)
            if match is None:
                raise DigestsError(f"line {number}: {text[:120]!r} is not 'sha256:' and 64 digits, then NAME/VERSION")
            if match[2] in digests:
                raise DigestsError(f"line {number}: {match[2]} has a line already; remove one")
            digests[match[2]] = match[1].lower()
        return cls(file, digests)

    def fault(self, name: str, version: str, digest: str) -> str | None:
        """Return why a file with this digest may not be served; None where it may."""
        listed = self.digests.get(f"{name}/{version}")
        if listed == digest:
            return None
        what = "another digest" if listed else "no line"
        return f"the list {self.file} has {what} for {name}/{version}; to serve this file, list {digest}"
