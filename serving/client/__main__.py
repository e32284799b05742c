"""python -m serving.client: classify files, folders of files, or standard input."""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from serving.client.client import URL, Client, ClientError
from serving.client.connection import BadKeyError
from serving.errors import Problem
from serving.prediction import Prediction

URL_VARIABLE, KEY_VARIABLE = "THIMBLE_URL", "THIMBLE_KEY"
# The files of a folder that are sent; a file that is named itself is sent whatever its suffix.
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".ppm", ".pgm", ".pbm")
MAX_FILE_BYTES = 256 * 1024 * 1024  # any service takes less, and /dev/zero has no end
PROGRESS_FROM = 5  # files
FOR_ALL_ALIKE = ("unknown-model", "unauthorised", "not-allowed")  # codes of problems that all files would have
ENDS = """exit status: 0 all images are answered, 1 some are not, 2 the command is wrong (no such option, model or key),
3 the service does not answer, 130 interrupted"""


class Command:
    """One run over files: predictions go to standard output, errors and progress to standard error."""

    def __init__(self, client: Client, query: dict[str, Any], as_json: bool) -> None:
        self._client = client
        self._query = query
        self._as_json = as_json
        # On a terminal the predictions themselves show the progress.
        self._shows_progress = sys.stderr.isatty() and not sys.stdout.isatty()

    def run(self, names: Sequence[str]) -> int:
        """Classify each file and return the exit status; raises ClientError."""
        status = 0
        for number, name in enumerate(names, start=1):
            answer = self._answer(name)
            if isinstance(answer, Problem) and answer.code in FOR_ALL_ALIKE:
                self._say(answer.detail)
                return 2
            self._print(name, answer)
            status = max(status, int(isinstance(answer, Problem)))
            if self._shows_progress and len(names) >= PROGRESS_FROM:
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
            return _unreadable("the file is empty")
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
    """Escape control characters, so that no file name and no server can drive the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def files(names: Sequence[str]) -> Iterator[str]:
    """Yield the files, and for a folder the images in it at any depth, by name."""
    for name in names:
        if name != "-" and Path(name).is_dir():
            found = sorted(path for path in Path(name).rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
            yield from map(str, found) if found else [name]
        else:
            yield name


def _read(name: str) -> bytes:
    """Return the content of a file, or of standard input; raises OSError."""
    if name == "-":
        content = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
    elif Path(name).is_dir():
        raise IsADirectoryError(0, "there is no image in this folder")
    else:
        with Path(name).open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise OSError(0, f"it has more than {MAX_FILE_BYTES:,} bytes")
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
    url = os.environ.get(URL_VARIABLE) or URL
    parser.add_argument("--url", default=url, help=f"the service (${URL_VARIABLE}; now {url})")
    parser.add_argument("--key", help=f"if the service needs one (${KEY_VARIABLE}, which other users cannot see)")
    parser.add_argument("--model", metavar="NAME", help="NAME or NAME:VERSION; default: by each image's colour")
    parser.add_argument("--top-k", type=int, metavar="N", help="how many labels --json lists (default 5)")
    parser.add_argument(
        "--coverage",
        type=float,
        metavar="SHARE",
        help="the share of images whose set is to hold the true label, such as 0.95",
    )
    parser.add_argument(
        "--timeout", "--seconds", type=float, default=60.0, metavar="SECONDS", help="for each answer (default 60)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a line, errors too")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if not 0 < options.timeout <= 3600:
        parser.error(f"--timeout {options.timeout:g} is not between 0 and 3600 seconds")
    try:
        client = Client(options.url, options.timeout, options.key or os.environ.get(KEY_VARIABLE))
    except BadKeyError as error:
        parser.error(f"--key or ${KEY_VARIABLE}: {error}")
    except ValueError as error:
        parser.error(f"--url or ${URL_VARIABLE}: {error}")
    query = {"model": options.model, "top_k": options.top_k, "coverage": options.coverage}
    try:
        with client:
            return Command(client, query, options.json).run(list(files(options.images)))
    except ClientError as error:
        sys.stderr.write(f"{printable(str(error))}\n")
        return 3
    except BrokenPipeError:  # the reader of the output has closed it, as head does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
