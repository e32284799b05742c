"""python -m serving.client: classifies files, folders of them, or what comes on standard input."""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from serving.client import URL, Client, ClientError, Prediction, Problem

ADDRESS = "THIMBLE_URL"
# Of a folder, what looks like an image; a file that is named is sent whatever it is called.
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".ppm", ".pgm", ".pbm")
LARGEST = 256 * 1024 * 1024  # bytes that are read: any service takes less, and /dev/zero has no end
MANY = 5  # files from which on progress is shown
UNKNOWN_MODEL = "unknown-model"
ENDS = """exit status: 0 all images are answered, 1 some are not, 2 the command is wrong (no such option or model),
3 the service does not answer, 130 interrupted"""


class Command:
    """One run over files: what it prints goes to standard output, complaints and progress to standard error."""

    def __init__(self, client: Client, query: dict[str, Any], as_json: bool) -> None:
        self._client = client
        self._query = query
        self._as_json = as_json
        # Where the answers are seen, they are the progress.
        self._shows_progress = sys.stderr.isatty() and not sys.stdout.isatty()

    def run(self, names: Sequence[str]) -> int:
        """Classify each file and return the exit status; raises ClientError."""
        status = 0
        for number, name in enumerate(names, start=1):
            answer = self._answer(name)
            if isinstance(answer, Problem) and answer.code == UNKNOWN_MODEL:  # it is so for all of them
                self._say(answer.detail)
                return 2
            self._print(name, answer)
            status = max(status, int(isinstance(answer, Problem)))
            if self._shows_progress and len(names) >= MANY:
                filled = 30 * number // len(names)
                sys.stderr.write(
                    f"\r\x1b[K[{'#' * filled:30}] {number} of {len(names)}" + "\n" * (number == len(names))
                )
        return status

    def _answer(self, name: str) -> Prediction | Problem:
        try:
            content = _read(name)
        except OSError as error:
            return _unreadable(error.strerror or str(error))
        if not content:
            return _unreadable("there is nothing in it")
        return self._client.classify(content, **self._query)[0]

    def _print(self, name: str, answer: Prediction | Problem) -> None:
        kind = "error" if isinstance(answer, Problem) else "prediction"
        if self._as_json:
            print(msgspec.json.encode({"file": printable(name), kind: answer}).decode(), flush=True)
        elif isinstance(answer, Problem):
            self._say(f"{name}: {answer.title}: {answer.detail}")
        else:
            print(printable(f"{name}: {in_words(answer)}"), flush=True)

    def _say(self, text: str) -> None:
        sys.stderr.write(("\r\x1b[K" if self._shows_progress else "") + printable(text) + "\n")


def in_words(prediction: Prediction) -> str:
    """Return a prediction in a line."""
    novel = "; unlike anything it was trained on" if prediction.novel is True else ""
    labels = ", ".join(prediction.set)
    return f"{prediction.label} {100 * prediction.probability:.1f} % ({labels}) {prediction.model}{novel}"


def printable(text: str) -> str:
    """Return a text that a terminal takes for nothing but text, whatever a file is called or a server says."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def files(names: Sequence[str]) -> Iterator[str]:
    """Yield the files that are meant: of a folder, the images in it at any depth, by name."""
    for name in names:
        if name != "-" and Path(name).is_dir():
            found = sorted(path for path in Path(name).rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
            yield from map(str, found) if found else [name]
        else:
            yield name


def _read(name: str) -> bytes:
    """Return the content of a file, or of standard input; raises OSError."""
    if name == "-":
        content = sys.stdin.buffer.read(LARGEST + 1)
    elif Path(name).is_dir():
        raise IsADirectoryError(0, "there is no image in this folder")
    else:
        with Path(name).open("rb") as file:
            content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise OSError(0, f"it has more than {LARGEST:,} bytes")
    return content


def _unreadable(reason: str) -> Problem:
    return Problem("about:blank", "The file cannot be read", 0, reason, "unreadable-file")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m serving.client", description="Classify images with a running service.", epilog=ENDS
    )
    parser.add_argument(
        "images", nargs="+", metavar="IMAGE", help="a file, a folder of images, or - for standard input"
    )
    url = os.environ.get(ADDRESS) or URL
    parser.add_argument("--url", default=url, help=f"where the service is (${ADDRESS}; here {url})")
    parser.add_argument("--model", metavar="NAME", help="NAME or NAME:VERSION; without it, each image's colour decides")
    parser.add_argument("--top-k", type=int, metavar="N", help="how many labels --json lists (default 5)")
    parser.add_argument("--coverage", type=float, metavar="SHARE", help="how often the set is to hold the true label")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to wait for an answer (default 60)")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line, errors too")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if not 0 < options.seconds <= 3600:
        parser.error(f"--seconds {options.seconds:g} is not between 0 and 3600")
    try:
        client = Client(options.url, options.seconds)
    except ValueError as error:
        parser.error(f"--url or ${ADDRESS}: {error}")
    query = {"model": options.model, "top_k": options.top_k, "coverage": options.coverage}
    try:
        with client:
            return Command(client, query, options.json).run(list(files(options.images)))
    except ClientError as error:
        sys.stderr.write(f"{printable(str(error))}\n")
        return 3
    except BrokenPipeError:  # who reads the answers has had enough, such as head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
