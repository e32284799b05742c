"""Replies: their length and times; refusals are counted."""

import pytest

from serving.api.replies import Reply
from serving.app import create_app
from serving.settings import Settings


@pytest.fixture
def app(models):
    return create_app(Settings(models=str(models)))


def test_refusals_are_counted_by_code(app, image):
    client = app.test_client()
    client.post("/classify", data=b"hello", content_type="image/png")
    client.post("/classify?model=none", data=image("bag"), content_type="image/png")
    client.get("/nothing")

    lines = client.get("/metrics").text.splitlines()

    for code in ("unreadable-image", "unknown-model", "not-found"):
        assert f'thimble_refusals_total{{code="{code}"}} 1.0' in lines


def test_server_timing_has_every_stage_in_milliseconds(app, image):
    response = app.test_client().post("/classify", data=image("bag"), content_type="image/png")

    stages = dict(part.split(";dur=") for part in response.headers["Server-Timing"].split(", "))
    assert list(stages) == ["decode", "fit", "infer"]
    assert all(0 < float(duration) < 1_000 for duration in stages.values())


def test_stages_are_measured(app, image):
    client = app.test_client()
    client.post("/classify", data=image("bag"), content_type="image/png")

    lines = client.get("/metrics").text.splitlines()

    for stage in ("decode", "fit", "infer"):
        assert f'thimble_stage_seconds_count{{stage="{stage}"}} 1.0' in lines


def test_a_request_beyond_the_images_in_flight_is_refused(models, image, while_waiting):
    client = create_app(Settings(models=str(models), workers=1, max_in_flight=1)).test_client()
    upload = {"data": image("bag"), "content_type": "image/png"}
    meanwhile = []

    while_waiting(lambda: meanwhile.append(client.post("/classify", **upload)))
    first = client.post("/classify", **upload)

    (second,) = meanwhile
    assert first.status_code == 200
    assert (second.status_code, second.json["code"]) == (503, "overloaded")
    assert second.headers["Retry-After"] == "1"


def test_a_reply_has_its_content_length():
    heads = []

    body = Reply(b"{}", headers={"X-One": "1"}).wsgi(lambda status, headers: heads.append((status, dict(headers))))

    assert b"".join(body) == b"{}"
    assert heads == [("200 OK", {"Content-Type": "application/json", "Content-Length": "2", "X-One": "1"})]
