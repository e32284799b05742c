"""A service of its own for each trial: started on a free port, asked, seen from outside, and stopped."""

import http.client
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks.free_port import free_port

ROOT = Path(__file__).parent.parent.parent
KEPT = ROOT / "build" / "faults"  # uploads that got an unexpected answer
WORKERS = 2
START_TIMEOUT = STOP_TIMEOUT = 180.0  # a busy machine takes long to load the models
ANSWER_TIMEOUT = 60.0
BROKEN = (OSError, http.client.HTTPException)  # a request that got no whole answer


class Request(NamedTuple):
    """A request as it is sent."""

    method: str
    path: str
    headers: Mapping[str, str] = {}
    body: bytes = b""


class Answer(NamedTuple):
    """The status and the body of an answer."""

    status: int
    body: bytes


@dataclass(frozen=True)
class Service:
    """A running service."""

    process: subprocess.Popen[bytes]
    port: int

    def workers(self) -> set[int]:
        """Return the process ids of the workers."""
        pid = self.process.pid
        return {int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}

    def connection(self) -> http.client.HTTPConnection:
        """Return a connection that is not yet open."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_TIMEOUT)

    def ask(self, request: Request) -> Answer:
        """Send a request on a connection of its own; raises one of BROKEN."""
        with closing(self.connection()) as connection:
            return send(connection, request)

    def is_ready(self) -> bool:
        """Whether a worker says that it is ready."""
        try:
            return self.ask(Request("GET", "/readyz")).status == 200
        except BROKEN:
            return False

    def stop(self) -> int:
        """Send SIGTERM, wait for the end, and return the exit status."""
        self.process.terminate()
        return self.process.wait(STOP_TIMEOUT)

    def resident_megabytes(self) -> float:
        """Return the resident memory of the workers, without their decoders, which come and go."""
        sizes = [Path(f"/proc/{pid}/status").read_text() for pid in self.workers()]
        return sum(int(size) for text in sizes for size in re.findall(r"^VmRSS:\s+(\d+)", text, re.MULTILINE)) / 1024

    def open_files(self) -> int:
        """Return the number of file descriptors of the master and the workers."""
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in (self.process.pid, *self.workers()))  # noqa: PTH208


def send(connection: http.client.HTTPConnection, request: Request) -> Answer:
    """Send a request and read the answer; raises one of BROKEN."""
    connection.request(request.method, request.path, request.body, dict(request.headers))
    answer = connection.getresponse()
    return Answer(answer.status, answer.read())


@contextmanager
def running(models: Path, log: Path, **settings: str) -> Iterator[Service]:
    """Start a service that logs JSON to this file, wait until all its workers are ready, and stop it at the end."""
    port = free_port()
    given = {"models": str(models), "http_port": str(port), "workers": str(WORKERS), "log_format": "json"}
    given |= {"wait_seconds": "60"} | settings  # a busy machine is not a fault: it need not refuse with 503
    environment = os.environ | {f"THIMBLE_{name.upper()}": value for name, value in given.items()}
    # A named pipe is opened for reading too, or opening it would wait for a reader.
    with open(os.open(log, os.O_RDWR | os.O_CREAT | os.O_APPEND), "wb", buffering=0) as output:  # noqa: PTH123
        command = [sys.executable, "-m", "serving"]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)  # noqa: S603
    service = Service(process, port)
    try:
        wait_until(service.is_ready, START_TIMEOUT, "the service is not ready")
        yield service
    finally:
        if process.poll() is None:
            service.stop()


def wait_until(condition: Callable[[], bool], timeout: float, otherwise: str) -> float:
    """Return the seconds until this holds; raises TimeoutError."""
    start = time.monotonic()
    while not condition():
        if time.monotonic() - start > timeout:
            raise TimeoutError(f"{otherwise} after {timeout:g} s")
        time.sleep(0.02)
    return time.monotonic() - start


def ready_workers(log: Path) -> set[int]:
    """Return the process ids that the log, a file of JSON lines, says to have their models ready."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if "models ready" in line]
    return {line["process"] for line in lines}
