"""Shared by all tests: the committed models, real images, a client without a server, and real servers."""

import gc
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from coverage.config import CoverageConfig
from flask.testing import FlaskClient

from serving.app import create_app
from serving.settings import Settings

ROOT = Path(__file__).parent.parent
LIGHT = ("fashion-mlp", "cifar-cnn")  # quick to load: most tests of the service use them
STRONG = ("fashion-net", "cifar-net", "router")
VERSIONS = dict.fromkeys(("fashion-mlp", "cifar-cnn", "fashion-net", "cifar-net"), "2")  # that answers, if not "1"
IMAGES = ROOT / "tests" / "images"
COMMAND = (sys.executable, "-m", "serving")
SERVER_TIMEOUT = 45  # seconds for a server to become ready, or to stop: it may take 30 to stop a worker that starts


def pytest_xdist_auto_num_workers() -> int:
    """Return the number of processes for -n auto: more than cores, since tests wait for services and browsers."""
    return (os.cpu_count() or 1) * 3 // 2


def pytest_collection() -> None:
    """Have the garbage collector wait until all is loaded, which is no garbage."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Have it leave alone what is loaded by now: PyTorch alone is a million objects."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    gc.enable()


@dataclass
class Server:
    """A running service."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/livez", timeout=5).ok
        except (requests.ConnectionError, requests.ReadTimeout):  # a busy machine takes long to load the models
            return False

    def stop(self) -> int:
        """Send SIGTERM, wait for the end, and return the exit status."""
        self.process.terminate()
        return self.process.wait(SERVER_TIMEOUT)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the light models among the committed ones."""
    return committed(LIGHT, tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def all_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with all committed models."""
    return committed(LIGHT + STRONG, tmp_path_factory.mktemp("all-models"))


def committed(names: tuple[str, ...], folder: Path) -> Path:
    """Copy the committed version of models that answers, not later exports; returns the folder."""
    for name in names:
        answers = VERSIONS.get(name, "1")
        others = [path.name for path in (ROOT / "models" / name).iterdir() if path.is_dir() and path.name != answers]
        shutil.copytree(ROOT / "models" / name, folder / name, ignore=shutil.ignore_patterns(*others))
    return folder


@pytest.fixture(scope="session")
def client(models: Path) -> FlaskClient:
    """Return a client of the service with the light models."""
    return create_app(Settings(models=str(models))).test_client()


@pytest.fixture(scope="session")
def image() -> Callable[[str], bytes]:
    """Return a reader of the test images: Fashion-MNIST's own, 28 x 28 in grey."""
    return lambda name: (IMAGES / f"{name}.png").read_bytes()


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory, models: Path) -> Iterator[Callable[..., Server]]:
    """Return a starter of servers, which waits until they answer; all are stopped at the end.

    measured: for coverage, with which a request takes half as long again.
    """
    servers = []

    def start_one(command: tuple[str, ...] = COMMAND, measured: bool = True, **settings: str) -> Server:
        port = free_port()
        log = tmp_path_factory.mktemp("server") / "log"
        environment = os.environ | {"THIMBLE_HTTP_PORT": str(port), "THIMBLE_MODELS": str(models)}
        environment |= {f"THIMBLE_{name.upper()}": value for name, value in settings.items()}
        config = environment.pop("COVERAGE_PROCESS_CONFIG", None)
        if config and measured:
            environment["COVERAGE_PROCESS_CONFIG"] = following_greenlets(config)
        with log.open("wb") as output:
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=output, stdout=output)
        server = Server(process, port, log)
        servers.append(server)
        deadline = time.monotonic() + SERVER_TIMEOUT
        while not server.answers():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        return server

    yield start_one
    for server in servers:
        server.process.terminate()  # all at once: each takes about a second to end
    for server in servers:
        server.process.wait(SERVER_TIMEOUT)


def following_greenlets(config: str) -> str:
    """Return coverage's settings for a service; elsewhere it would ask at each call which greenlet runs."""
    settings = CoverageConfig.deserialize(config)
    settings.concurrency = ["gevent", "thread"]
    return settings.serialize()


@pytest.fixture(scope="session")
def server(start: Callable[..., Server]) -> Server:
    """Return the service as a user starts it."""
    return start()


@pytest.fixture(scope="session")
def strict_server(start: Callable[..., Server]) -> Server:
    """Return a server with limits that a test can reach."""
    return start(max_body="100000", body_seconds="0.5", workers="1")


@pytest.fixture(scope="session")
def strong_server(start: Callable[..., Server], all_models: Path) -> Server:
    """Return a server with all committed models."""
    return start(models=str(all_models))
