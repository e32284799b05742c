"""The files that the command sends: which of a folder's, and what is in them."""

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from serving.imaging.suffixes import SUFFIXES, is_hidden

STANDARD_INPUT = "-"
MAX_FILE_BYTES = 256 * 1024 * 1024  # any service takes less, and /dev/zero has no end


class Skipped(NamedTuple):
    """A file or folder within a folder that is not sent."""

    name: str
    reason: str


def find_files(names: Sequence[str]) -> tuple[list[str], list[Skipped]]:
    """Return the files to send, for a folder the images in it at any depth, by name; and what is left out.

    A folder that cannot be read, or has no image, is among the former: reading it says why.
    """
    sent: list[str] = []
    skipped: list[Skipped] = []
    for name in names:
        if not _is_folder(name):
            sent.append(name)
            continue
        unreadable: list[OSError] = []
        left_out = dict(_left_out(path) for path in sorted(_paths(name, unreadable)))
        images = [str(path) for path, reason in left_out.items() if not reason]
        images += [error.filename for error in unreadable]
        sent += images or [name]
        skipped += [Skipped(str(path), reason) for path, reason in left_out.items() if reason]
    return sent, skipped


def read_file(name: str) -> bytes:
    """Return the content of a file, or of standard input; raises OSError."""
    if name == STANDARD_INPUT:
        content = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
    elif _is_folder(name):
        os.scandir(name).close()  # raises where it cannot be read
        raise IsADirectoryError(0, "there is no image in this folder")
    else:
        with Path(name).open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise OSError(0, f"it has more than {MAX_FILE_BYTES:,} bytes")
    return content


def is_image(path: Path) -> bool:
    """Whether a file's name is that of an image; one that is named itself is sent whatever its name."""
    return path.suffix.lower() in SUFFIXES


def _is_folder(name: str) -> bool:
    """Whether a name is a folder's; no name that cannot be looked up is."""
    try:
        return name != STANDARD_INPUT and Path(name).is_dir()
    except OSError:
        return False


def _paths(folder: str, unreadable: list[OSError]) -> Iterator[Path]:
    """Yield all files of a folder at any depth, and the folders that are not looked into: links and hidden ones."""
    for parent, folders, files in os.walk(folder, onerror=unreadable.append):
        paths = [Path(parent, name) for name in folders]
        yield from (path for path in paths if is_hidden(path.name) or os.path.islink(path))  # noqa: PTH114  # as below
        yield from (Path(parent, name) for name in files)
        folders[:] = [name for name in folders if not is_hidden(name)]


def _left_out(path: Path) -> tuple[Path, str]:
    """Return a path, and why it is not sent; no reason for an image."""
    if is_hidden(path.name):
        return path, "it is hidden, or a system added it"
    if _is_folder(str(path)):
        return path, "it is a link to a folder"
    if not is_image(path):
        return path, "its name is not that of an image"
    # Opening a pipe would wait for ever; a link that leads nowhere is opened, which says so. Path's methods raise for a
    # name too long, and in a folder that may not be entered.
    return path, "it is not a file" if os.path.exists(path) and not os.path.isfile(path) else ""  # noqa: PTH110, PTH113
