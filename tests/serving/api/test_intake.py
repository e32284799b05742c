"""The limits on bodies: bytes, time to arrive, and memory."""

import io
import socket

import pytest
from bodies import MULTIPART

from serving.api.intake import Intake, MemoryBudget
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
    body = io.BytesIO(bytes(size))

    response = strict.post("/classify", input_stream=body, content_type="image/png")

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


def test_a_body_that_cannot_be_read_is_refused(client):
    server, sender = socket.socketpair()
    server.settimeout(0.01)

    with server, sender, server.makefile("rb") as stream:
        response = client.post("/classify", environ_overrides={"CONTENT_LENGTH": "20", "wsgi.input": stream})

    assert response.status_code == 400
    assert "ended early" in response.json["detail"]


def test_bodies_share_a_budget_of_memory():
    memory = MemoryBudget(100)

    with memory.reserve(60):
        with pytest.raises(Overloaded, match="Too many large bodies"), memory.reserve(60):
            pass
        with memory.reserve(40):
            pass
    with memory.reserve(1_000):  # alone, whatever its size
        pass


@pytest.mark.parametrize(("announced", "left"), [("60", 40), (None, 20), ("500", 20)])
def test_a_body_keeps_its_memory_until_it_is_answered(announced, left):
    intake = Intake(80, 1, Deadline(1.0), MemoryBudget(100), Admission(1, 1.0))
    environ = {"wsgi.input": io.BytesIO(), "CONTENT_LENGTH": announced}

    with intake.reserve_memory(environ):
        with intake.memory.reserve(left):
            pass
        with pytest.raises(Overloaded), intake.memory.reserve(left + 1):
            pass
