"""The limits on bodies: bytes, time to arrive, and memory."""

import io
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from bodies import MULTIPART, coded

from serving.api.content import read_content
from serving.api.intake import Intake
from serving.api.memory_budget import MemoryBudget
from serving.app import create_app
from serving.errors import Overloaded
from serving.inference.admission import Admission
from serving.server.deadline import Deadline
from serving.settings import Settings


@pytest.mark.parametrize("kind", ["image/png", "application/json", MULTIPART, "text/plain"])
def test_a_body_over_the_limit_is_refused_with_the_limit(strict, kind):
    response = strict.post("/classify", data=bytes(3_001), content_type=kind)

    assert response.status_code == 413
    assert response.json["code"] == "too-large"
    assert "more than 3,000 bytes" in response.json["detail"]


def test_a_body_announced_as_too_large_is_refused_unread(strict):
    unread = io.BytesIO(b"never looked at")

    response = strict.post("/classify", input_stream=unread, environ_overrides={"CONTENT_LENGTH": "1000000000000"})

    assert response.status_code == 413
    assert unread.tell() == 0


@pytest.mark.parametrize(("size", "status"), [(3_001, 413), (10_000_000, 413), (3_000, 422)])
def test_a_body_of_unknown_length_is_read_to_the_limit_and_no_further(strict, size, status):
    body, chunked = io.BytesIO(bytes(size)), {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked"}

    response = strict.post("/classify", input_stream=body, content_type="image/png", environ_overrides=chunked)

    assert response.status_code == status
    assert body.tell() <= 3_001


def test_a_body_shorter_than_announced_is_refused(client, boot):
    announced = {"CONTENT_LENGTH": str(len(boot) + 1)}

    response = client.post("/classify", input_stream=io.BytesIO(boot), environ_overrides=announced)

    assert response.status_code == 400
    assert "ended early" in response.json["detail"]


def test_a_body_that_arrives_too_slowly_is_refused(models):
    client = create_app(Settings(models=str(models), body_seconds=0.05)).test_client()
    server, sender = socket.socketpair()

    with server, sender, server.makefile("rb") as stream:
        sender.send(b"half of it")
        overrides = {"CONTENT_LENGTH": "20", "wsgi.input": stream, "gunicorn.socket": server}
        response = client.post("/classify", environ_overrides=overrides)

    assert response.status_code == 408
    assert response.json["code"] == "slow-body"
    assert response.json["detail"] == "The body did not arrive within 0.05 s; send a smaller image."


def test_a_body_whose_client_falls_silent_is_refused_as_slow(client):
    server, sender = socket.socketpair()
    server.settimeout(0.01)

    with server, sender, server.makefile("rb") as stream:
        response = client.post("/classify", environ_overrides={"CONTENT_LENGTH": "20", "wsgi.input": stream})

    assert (response.status_code, response.json["code"]) == (408, "slow-body")
    assert response.json["detail"] == "The body stopped arriving before its end; send it again."


def test_bodies_share_a_budget_of_memory():
    memory = MemoryBudget(100)

    with memory.reserve(60):
        with pytest.raises(Overloaded, match="Too many large bodies"), memory.reserve(60):
            pass
        with memory.reserve(40):
            pass
    with memory.reserve(1_000):  # alone, whatever its size
        pass


@pytest.mark.parametrize("announced", ["60", None])
def test_a_body_keeps_its_memory_until_it_is_answered(announced):
    environ = {"wsgi.input": io.BytesIO(bytes(60)), "CONTENT_LENGTH": announced}
    intake = small_intake()

    with read_content(environ, intake) as body:
        assert len(body) == 60
        with intake.memory.reserve(40):
            pass
        with pytest.raises(Overloaded), intake.memory.reserve(41):
            pass
    with intake.memory.reserve(100):
        pass


@pytest.mark.parametrize("announced", ["80", None])
def test_clients_that_announce_large_bodies_and_send_nothing_shut_nobody_out(announced):
    intake = small_intake()
    server, silent = socket.socketpair()
    with ThreadPoolExecutor() as threads, server, server.makefile("rb") as stream, silent:
        waiting = threads.submit(read, {"wsgi.input": stream, "CONTENT_LENGTH": announced}, intake)
        while not waiting.running():
            time.sleep(0.001)
        time.sleep(0.05)

        assert len(read({"wsgi.input": io.BytesIO(bytes(80)), "CONTENT_LENGTH": "80"}, intake)) == 80
        silent.sendall(bytes(80))
        silent.shutdown(socket.SHUT_WR)
        assert len(waiting.result()) == 80


def small_intake():
    return Intake(80, 1, Deadline(1.0), MemoryBudget(100), Admission(1, 1.0))


def read(environ, intake):
    with read_content(environ, intake) as body:
        return body


def test_all_images_of_a_request_are_in_flight_until_it_is_answered(models, boot, while_waiting):
    app = create_app(Settings(models=str(models), max_in_flight=3, workers=1))
    meanwhile = []

    def ask_meanwhile():
        if not meanwhile:
            meanwhile.append(app.test_client().post("/classify", data=boot, content_type="image/png").status_code)

    while_waiting(ask_meanwhile)
    answer = app.test_client().post("/classify", json={"images": [coded(boot)] * 3})

    assert (answer.status_code, meanwhile) == (200, [503])
