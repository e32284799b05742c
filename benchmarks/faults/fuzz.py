"""python -m benchmarks.faults.fuzz: hostile uploads; each answer must be one of ALLOWED, and no worker may die.

First mutated files of all formats that are read, sent as the body, in forms, in JSON and over V2; then requests that
hypothesis makes. A file that got another answer is kept in build/faults.
"""

import argparse
import json
import random
import string
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import hypothesis
from hypothesis import strategies as st

from benchmarks.faults.pictures import mutated, pictures
from benchmarks.faults.requests import BOUNDARY, UPLOADS
from benchmarks.faults.service import BROKEN, KEPT, ROOT, Request, Service, running

ALLOWED = {200, 400, 413, 415, 422}
CLIENTS = 4
TYPES = ("image/png", "application/octet-stream", "application/json", f"multipart/form-data; boundary={BOUNDARY}")
PARAMETERS = ("top_k", "coverage", "seen", "topk")


class UnexpectedAnswerError(Exception):
    """A request got no answer, or one that is not among ALLOWED."""


class Fuzzer:
    """Sends requests and counts the answers by their status; 0: none."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._lock = threading.Lock()
        self.counts: Counter[int] = Counter()

    def send(self, request: Request) -> int:
        """Return the status of the answer, 0 without one."""
        try:
            status = self._service.ask(request).status
        except BROKEN:
            status = 0
        with self._lock:
            self.counts[status] += 1
        return status

    def send_files(self, seed: int, count: int) -> None:
        """Send so many mutated files; keep those that got an unexpected answer."""
        files, drawn = pictures(), random.Random(seed)  # noqa: S311  # repeatable, not secret

        def send_one(job: tuple[int, str, bytes, str]) -> None:
            number, name, data, way = job
            if (status := self.send(UPLOADS[way](data))) not in ALLOWED:
                KEPT.mkdir(parents=True, exist_ok=True)
                (KEPT / f"{seed}-{number}-{name}").write_bytes(data)
                print(f"status {status}: {way}, {KEPT / f'{seed}-{number}-{name}'}", flush=True)

        jobs = [(number, *mutated(drawn, files), drawn.choice(sorted(UPLOADS))) for number in range(count)]
        with ThreadPoolExecutor(CLIENTS) as clients:
            list(clients.map(send_one, jobs))

    def send_examples(self, seed: int, count: int) -> None:
        """Send requests of hypothesis' making; prints the simplest that got an unexpected answer."""

        @hypothesis.seed(seed)
        @hypothesis.settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(SLOW))
        @hypothesis.given(hostile_requests())
        def send_one(request: Request) -> None:
            if (status := self.send(request)) not in ALLOWED:
                raise UnexpectedAnswerError(f"status {status}: {request}")

        try:
            send_one()
        except UnexpectedAnswerError as error:
            print(error, flush=True)


SLOW = (hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.data_too_large)  # they are not for sockets


def hostile_requests() -> st.SearchStrategy[Request]:
    """Return requests to /classify whose parameters, type, coding and body may be anything."""
    images = list(pictures().values())
    anything = st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
        max_leaves=8,
    )
    members = st.dictionaries(st.sampled_from(("image", "images", *PARAMETERS)), anything, max_size=3)
    documents = (members | anything).map(lambda value: json.dumps(value).encode())
    signatures = st.builds(lambda image, rest: image[:24] + rest, st.sampled_from(images), st.binary(max_size=300))
    disposition = st.text(alphabet=string.printable, max_size=40).map(str.encode)
    part = st.builds(_part, disposition, st.binary(max_size=100) | st.sampled_from(images))
    forms = st.lists(part, max_size=4).map(lambda parts: b"".join(parts) + f"--{BOUNDARY}--\r\n".encode())
    bodies = st.binary(max_size=300) | documents | signatures | forms | st.sampled_from(images)
    types = st.sampled_from(TYPES) | st.text(alphabet=string.ascii_letters + "/;=\" *'", max_size=40)
    codings = st.sampled_from(("", "", "gzip", "deflate", "br"))
    query = st.dictionaries(st.sampled_from(PARAMETERS), st.text(max_size=12), max_size=2)
    return st.builds(_request, query, types, codings, bodies)


def _part(disposition: bytes, content: bytes) -> bytes:
    return b"--" + BOUNDARY.encode() + b"\r\nContent-Disposition: form-data; " + disposition + b"\r\n\r\n" + content


def _request(query: Mapping[str, Any], kind: str, coding: str, body: bytes) -> Request:
    headers = {"Content-Type": kind.strip()} | ({"Content-Encoding": coding} if coding else {})
    return Request("POST", f"/classify?{urlencode(query)}", headers, body)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is 1 where an answer was unexpected or a worker died."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults.fuzz", description="Send hostile uploads.")
    parser.add_argument("--files", type=int, default=5_000, help="mutated files; default 5,000")
    parser.add_argument("--examples", type=int, default=1_000, help="requests of hypothesis; default 1,000")
    parser.add_argument("--seed", type=int, default=0, help="default 0")
    parser.add_argument("--models", type=Path, default=ROOT / "models", help="default models")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, running(options.models, Path(folder, "log")) as service:
        fuzzer, before = Fuzzer(service), service.workers()
        fuzzer.send_files(options.seed, options.files)
        fuzzer.send_examples(options.seed, options.examples)
        died = len(before - service.workers())
    unexpected = sum(count for status, count in fuzzer.counts.items() if status not in ALLOWED)
    counts = ", ".join(f"{status}: {count:,}" for status, count in sorted(fuzzer.counts.items()))
    print(
        f"{options.files:,} mutated files of {len(pictures())} kinds, {options.examples:,} examples; answers {counts}"
    )
    print(f"unexpected answers {unexpected:,}, workers died {died}")
    return int(unexpected > 0 or died > 0)


if __name__ == "__main__":
    sys.exit(main())
