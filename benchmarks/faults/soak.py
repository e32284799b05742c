"""python -m benchmarks.faults.soak: mixed requests for a long time; each answer is compared, and memory is watched.

Each distinct request is answered in this process first; the service must give the same answer however often, in
whatever order and company it is asked. A tenth of the requests warms it up. Memory is that of the workers.
"""

import argparse
import json
import math
import random
import struct
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.faults.pictures import pictures
from benchmarks.faults.requests import mixture
from benchmarks.faults.service import BROKEN, ROOT, WORKERS, Answer, Request, Service, running, send
from benchmarks.newest import model_names, newest
from serving.app import create_app
from serving.lifecycle import Lifecycle
from serving.model.classifier import Classifier
from serving.settings import Settings

TOLERANCE = 1e-4  # of numbers: images of one batch are added up in another order than one alone
WARM_UP = 0.1  # of the requests
SETTLE_SECONDS = 2.0
SPARE_FILES = 4 * WORKERS  # pipes and sockets of decoders, which are started when they are needed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is 1 where something was lost."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults.soak", description="Ask for a long time.")
    parser.add_argument("--requests", type=int, default=200_000, help="default 200,000")
    parser.add_argument("--clients", type=int, default=8, help="connections at once; default 8")
    parser.add_argument("--growth", type=float, default=3.0, metavar="PERCENT", help="of memory, at most; default 3")
    parser.add_argument("--models", type=Path, default=ROOT / "models", help="default models")
    options = parser.parse_args(arguments)
    shapes = input_shapes(options.models)
    kinds = list(mixture(pictures(), shapes))
    requests = random.Random(0).sample(kinds, min(len(kinds), options.requests // 4))  # noqa: S311  # no secret
    expected = answered_here(requests, options.models)
    with tempfile.TemporaryDirectory() as folder, running(options.models, Path(folder, "log")) as service:
        return soak(service, list(zip(requests, expected, strict=True)), options)


def soak(service: Service, pairs: Sequence[tuple[Request, Answer]], options: argparse.Namespace) -> int:
    """Warm up, then ask; print the figures and return the exit status."""
    warm_up = int(options.requests * WARM_UP)
    found, before = Counter[str](), service.workers()
    start, memory, files = time.monotonic(), [], []
    for count in (warm_up, options.requests - warm_up):
        ask_mixed(service, pairs, count, options.clients, found)
        time.sleep(SETTLE_SECONDS)
        memory.append(service.resident_megabytes())
        files.append(service.open_files())
    seconds, growth = time.monotonic() - start, 100 * (memory[1] / memory[0] - 1)
    died = len(before - service.workers())
    total = found.total()
    print(f"{total:,} requests of {len(pairs)} kinds in {seconds:.0f} s, {total / seconds:.0f} a second")
    print(
        f"right {found['right']:,}  wrong {found['wrong']:,}  without answer {found['broken']:,}  workers died {died}"
    )
    print(f"memory of the workers {memory[0]:.1f} MB after {warm_up:,} requests, {memory[1]:.1f} MB at the end")
    print(f"growth {growth:+.1f}%, {options.growth:g}% allowed; file descriptors {files[0]} and {files[1]}")
    lost = options.requests - found["right"] + died
    return int(lost > 0 or growth > options.growth or files[1] > files[0] + SPARE_FILES)


def input_shapes(models: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of the input of each model that classifies, one image, by name: of the version that answers."""
    opened = [Classifier.open(newest(models, name)) for name in model_names(models)]
    return {one.card.name: (1, *one.shape) for one in opened if one.card.name != "router"}


def answered_here(requests: Sequence[Request], models: Path) -> list[Answer]:
    """Return the answer to each request from the application in this process, without the server."""
    app = create_app(Settings(models=str(models), log_requests=False))
    client = app.test_client()
    try:
        return [_answered(client.open(one.path, method=one.method, headers=dict(one.headers), data=one.body))
                for one in requests]  # fmt: skip
    finally:
        Lifecycle.of(app).close()


def _answered(response: Any) -> Answer:
    return Answer(response.status_code, response.get_data())


def ask_mixed(
    service: Service, pairs: Sequence[tuple[Request, Answer]], count: int, clients: int, found: Counter[str]
) -> None:
    """Send so many requests, each drawn at random, and count what came of them."""
    lock, first = threading.Lock(), found.total()

    def run(seed: int) -> None:
        drawn = random.Random(f"{first} {seed}")  # noqa: S311  # repeatable, not secret
        with closing(service.connection()) as connection:
            for _ in range(count // clients + (seed < count % clients)):
                request, expected = drawn.choice(pairs)
                try:
                    answer = send(connection, request)
                    result = "right" if same(answer, expected) else "wrong"
                except BROKEN:
                    connection.close()
                    result = "broken"
                with lock:
                    found[result] += 1
                    if result != "right" and found[result] <= 5:
                        print(f"{result}: {request.method} {request.path}, {request.body[:60]!r}", flush=True)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def same(answer: Answer, expected: Answer) -> bool:
    """Whether two answers have the same status, JSON and tensors behind it, numbers within TOLERANCE."""
    if answer.status != expected.status:
        return False
    return answer.body == expected.body or _alike(_parts(answer.body), _parts(expected.body))


def _parts(body: bytes) -> list[Any]:
    """Return the JSON of a body and the float32 values behind it, which an answer of V2 may have."""
    value, end = json.JSONDecoder().raw_decode(body.decode("latin-1"))  # a character a byte
    return [value, [number for (number,) in struct.iter_unpack("<f", body[end:])]]


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_alike(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_alike, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return bool(one == other)


if __name__ == "__main__":
    sys.exit(main())
