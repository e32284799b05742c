"""Models come and go while clients send requests: a server of two workers loses no request."""

import os
import shutil
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import onnx
import pytest
import requests
from polling import wait_until

from serving.model.card import CARD_KEY
from serving.repository.commands import LOAD, UNLOAD, WorkerCommands

pytestmark = pytest.mark.trains

NAME = "fashion-mlp"
CLIENTS = 6
WORKERS = 2
TIMEOUT = 20  # seconds for all workers to load a change
LOADED, REFUSED = (f'thimble_model_loads_total{{model="{NAME}",result="{result}"}}' for result in ("loaded", "refused"))


class Clients:
    """Threads that send requests without a pause; they note each request's start, status and version."""

    def __init__(self, server, body):
        self._server, self._body = server, body
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(CLIENTS)]
        self.answers = []

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        for thread in self._threads:
            thread.join(TIMEOUT)

    def _run(self):
        with requests.Session() as session:
            while not self._ended.is_set():
                asked = time.monotonic()
                answer = session.post(f"{self._server.url}/classify?model={NAME}", self._body, timeout=TIMEOUT)
                version = answer.json()["predictions"][0]["version"] if answer.ok else None
                self.answers.append((asked, answer.status_code, version))


@pytest.fixture
def server(start, models, tmp_path):
    """Return a server with a folder of its own, whose version 9 will be a shadow."""
    write(models, tmp_path, "1")
    server = start(models=str(tmp_path), workers=str(WORKERS), poll_seconds="0.5", shadow=f"{NAME}={NAME}:9@1")
    wait_until(lambda: metric(server, LOADED) == WORKERS)
    return server


def write(models, folder, version, length=None):
    """Write a version: the committed model with a card of its own, or the first bytes of that."""
    (committed,) = (models / NAME).glob("*/model.onnx")
    model = onnx.load(committed)
    (entry,) = (entry for entry in model.metadata_props if entry.key == CARD_KEY)
    entry.value = entry.value.replace(f'"version":"{committed.parent.name}"', f'"version":"{version}"', 1)
    aside = folder / f".{version}"
    aside.mkdir()
    (aside / "model.onnx").write_bytes(model.SerializeToString()[:length])
    (folder / NAME).mkdir(exist_ok=True)
    aside.rename(folder / NAME / version)


@pytest.fixture
def put(server, models, tmp_path):
    """Return a writer of versions."""
    return partial(write, models, tmp_path)


@pytest.fixture
def commands(server):
    (folder,) = Path("/dev/shm").glob(f"thimble-shared-{server.process.pid}-*")
    return WorkerCommands(folder / "commands")


def metric(server, start):
    """Return the sum of the samples of all workers that begin like this."""
    lines = requests.get(f"{server.url}/metrics", timeout=TIMEOUT).text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(start))


def all_workers(server, change, counter=LOADED):
    """Make a change, wait until every worker has opened its file, and return the time."""
    before = metric(server, counter)
    change()
    wait_until(lambda: metric(server, counter) == before + WORKERS)
    return time.monotonic()


def ask(server, body, model=NAME):
    return requests.post(f"{server.url}/classify?model={model}", body, timeout=TIMEOUT)


def test_no_request_is_lost_while_versions_come_and_go(server, put, tmp_path, image):
    changes = [
        ("2", lambda: put("2")),
        ("3", lambda: put("3")),
        ("2", lambda: shutil.rmtree(tmp_path / NAME / "3")),
    ]
    with Clients(server, image("bag")) as clients:
        for expected, change in changes:
            since = all_workers(server, change)
            time.sleep(0.3)
            until = time.monotonic()
            answers = list(clients.answers)

            assert {status for _, status, _ in answers} == {200}
            assert {version for asked, _, version in answers if since < asked < until} == {expected}

    assert {status for _, status, _ in clients.answers} == {200}


def test_each_worker_reports_a_bad_version_once_while_the_old_one_answers(server, put, image):
    with Clients(server, image("bag")) as clients:
        all_workers(server, lambda: put("2", length=1000), REFUSED)
        time.sleep(1.5)  # at least one further poll

    assert {(status, version) for _, status, version in clients.answers} == {(200, "1")}
    assert server.log.read_text().count(f"{NAME}/2/model.onnx: it is not a whole ONNX file") == WORKERS
    states = requests.get(f"{server.url}/models/{NAME}", timeout=TIMEOUT).json()["states"]
    assert [state["state"] for state in states] == ["ready", "unavailable"]


def test_a_version_that_many_requests_name_is_loaded_once_by_a_worker(server, put, image):
    all_workers(server, lambda: put("2"))
    before = metric(server, LOADED)

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: ask(server, image("bag"), f"{NAME}:1"), range(100)))

    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["predictions"][0]["version"] for answer in answers} == {"1"}
    assert 1 <= metric(server, LOADED) - before <= WORKERS


def test_a_command_reaches_every_worker_and_those_that_start_later(server, commands, image):
    commands.publish(NAME, UNLOAD)
    assert commands.wait(NAME)
    assert {ask(server, image("bag")).status_code for _ in range(20)} == {404}

    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    for worker in children:
        os.kill(int(worker), signal.SIGKILL)
    wait_until(server.answers)
    assert ask(server, image("bag")).status_code == 404

    commands.publish(NAME, LOAD)
    assert commands.wait(NAME)
    assert {ask(server, image("bag")).status_code for _ in range(20)} == {200}


def test_a_shadow_answers_nobody_and_is_compared_with_the_answers(server, put, image):
    with Clients(server, image("bag")) as clients:
        all_workers(server, lambda: put("9"))
        wait_until(lambda: metric(server, "thimble_shadow_images_total") > 0)

    assert {(status, version) for _, status, version in clients.answers} == {(200, "1")}
    wait_until(
        lambda: metric(server, "thimble_shadow_agreements_total") == metric(server, "thimble_shadow_images_total")
    )
    assert metric(server, "thimble_shadow_difference_sum") == 0


def test_the_end_does_not_abort_a_comparison(server, put, image):
    all_workers(server, lambda: put("9"))
    for _ in range(20):
        ask(server, image("bag"))

    assert server.stop() == 0
    assert "SIGABRT" not in server.log.read_text()
