"""python -m serving.client: classify files, folders of files, or standard input."""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TextIO

from serving.client.client import URL, Client, ClientError
from serving.client.connection import MAX_TIMEOUT, BadKeyError
from serving.client.files import find_files, is_image, read_file
from serving.client.output import Write, csv_writer, json_writer, printable, text_writer
from serving.errors import BadRequest, MethodNotAllowed, NotAllowed, NotFound, Problem, Unauthorised, UnknownModel
from serving.prediction import Prediction

URL_VARIABLE, KEY_VARIABLE = "THIMBLE_URL", "THIMBLE_KEY"
PROGRESS_FROM = 5  # files
# Codes of problems that all files would have. What is asked is not valid as a rule; of empty files nothing is asked.
FOR_ALL_ALIKE = {kind.code for kind in (BadRequest, UnknownModel, NotFound, MethodNotAllowed, Unauthorised, NotAllowed)}
WRONG_URL = {NotFound.code, MethodNotAllowed.code}
URL_ADVICE = " Check --url: it is the address of the service's page, without /classify."
NAMED_SKIPPED = 10  # files for each reason: a folder may have as many notes as images
ENDS = """exit status: 0 all images are answered, 1 some are not, or the answers cannot be written, 2 the command is
wrong (no such option, value, model or key), 3 the service does not answer, 130 interrupted"""


class ClassifyRun:
    """One run over files: predictions go to standard output or a file, errors and progress to standard error."""

    def __init__(
        self, client: Client, query: dict[str, Any], write: Write, tells_problems: bool, to_file: bool
    ) -> None:
        """tells_problems: to standard error too, since what is written has no place for them."""
        self._client = client
        self._query = query
        self._write = write
        self._tells_problems = tells_problems
        # On a terminal the predictions themselves show the progress.
        self._shows_progress = sys.stderr.isatty() and (to_file or not sys.stdout.isatty())

    def run(self, names: Sequence[str]) -> int:
        """Classify each file and return the exit status; raises ClientError."""
        status = 0
        for number, name in enumerate(names, start=1):
            answer = self._answer(name)
            if isinstance(answer, Problem) and answer.code in FOR_ALL_ALIKE:
                self._say(answer.detail + (URL_ADVICE if answer.code in WRONG_URL else ""))
                return 2
            self._write(name, answer)
            if isinstance(answer, Problem) and self._tells_problems:
                self._say(f"{name}: {answer.title}: {answer.detail}")
            status = max(status, int(isinstance(answer, Problem)))
            if self._shows_progress and len(names) >= PROGRESS_FROM:
                filled = 30 * number // len(names)
                sys.stderr.write(
                    f"\r\x1b[K[{'#' * filled:30}] {number} of {len(names)}" + "\n" * (number == len(names))
                )
        return status

    def _answer(self, name: str) -> Prediction | Problem:
        try:
            content = read_file(name)
        except OSError as error:
            return _unreadable(error.strerror or str(error))
        if not content:
            return _unreadable("the file is empty")
        return self._client.classify(content, **self._query)[0]

    def _say(self, text: str) -> None:
        sys.stderr.write(("\r\x1b[K" if self._shows_progress else "") + printable(text) + "\n")


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
    parser.add_argument("--url", default=url, help=f"the service (${URL_VARIABLE}; now {url.replace('%', '%%')})")
    parser.add_argument("--key", help=f"the key, if the service needs one (${KEY_VARIABLE} hides it from other users)")
    parser.add_argument(
        "--model", metavar="NAME", help="NAME or NAME:VERSION; default: the service chooses for each image"
    )
    parser.add_argument("--top-k", type=int, metavar="N", help="how many labels each answer lists")
    parser.add_argument(
        "--coverage",
        type=float,
        metavar="SHARE",
        help="the share of images whose set is to hold the true label, such as 0.95",
    )
    parser.add_argument(
        "--timeout", "--seconds", type=float, default=60.0, metavar="SECONDS", help="limit for each answer (default 60)"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="write one JSON object a line, errors too")
    form.add_argument("--csv", action="store_true", help="write a table for spreadsheets, errors too")
    parser.add_argument("--output", metavar="FILE", help="write there, not to standard output")
    return parser


def _open(output: str | None, parser: argparse.ArgumentParser) -> AbstractContextManager[TextIO]:
    """Return the file to write to; standard output without one."""
    if output is None:
        return nullcontext(sys.stdout)
    if is_image(Path(output)):  # as in --output *.png, of which the shell makes --output cat.png dog.png
        parser.error(f"--output {output}: its name is that of an image, which would be lost; name another file")
    try:
        return Path(output).open("w", encoding="utf-8", newline="")
    except OSError as error:
        parser.error(f"--output {output}: it cannot be written ({error.strerror}); name another file")


def _set_encoding(is_json: bool) -> None:
    """Write JSON as UTF-8, and in other forms escape what the terminal's encoding lacks."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8" if is_json else None, errors="backslashreplace")


def _sent(names: Sequence[str]) -> list[str]:
    """Return the files to send, and name what is left out of folders."""
    sent, skipped = find_files(names)
    counts: Counter[str] = Counter()
    for name, reason in skipped:
        counts[reason] += 1
        if counts[reason] <= NAMED_SKIPPED:
            sys.stderr.write(printable(f"{name}: skipped, {reason}; name it to send it") + "\n")
    for reason, count in counts.items():
        if count > NAMED_SKIPPED:
            sys.stderr.write(f"{count - NAMED_SKIPPED:,} more: skipped, {reason}\n")
    return sent


def _command(client: Client, options: argparse.Namespace, file: TextIO) -> ClassifyRun:
    query = {"model": options.model, "top_k": options.top_k, "coverage": options.coverage}
    to_file = options.output is not None
    if options.json or options.csv:
        return ClassifyRun(client, query, json_writer(file) if options.json else csv_writer(file), to_file, to_file)
    return ClassifyRun(client, query, text_writer(file, options.top_k), True, to_file)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if not 0 < options.timeout <= MAX_TIMEOUT:
        parser.error(f"--timeout {options.timeout:g} is not between 0 and {MAX_TIMEOUT:g} seconds")
    try:
        client = Client(options.url, options.timeout, options.key or os.environ.get(KEY_VARIABLE))
    except BadKeyError as error:
        parser.error(f"--key or ${KEY_VARIABLE}: {error}")
    except ValueError as error:
        parser.error(f"--url or ${URL_VARIABLE}: {error}")
    _set_encoding(options.json)
    try:
        with client, _open(options.output, parser) as file:
            return _command(client, options, file).run(_sent(options.images))
    except ClientError as error:
        sys.stderr.write(f"{printable(str(error))}\n")
        return 3
    except OSError as error:
        if not isinstance(error, BrokenPipeError):  # otherwise the reader of the output has closed it, as head does
            sys.stderr.write(f"the answers cannot be written: {error.strerror}\n")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is left, at the end of Python
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
