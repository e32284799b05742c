"""Answers past Flask's dispatch: the same as through it, whatever happens."""

import pytest
from prometheus_client import CollectorRegistry

from serving.api.replies import Problems, Reply, Shortcut
from serving.app import create_app
from serving.errors import Overloaded, SlowBody
from serving.settings import Settings
from serving.telemetry.metrics import Metrics


@pytest.fixture
def app(models):
    return create_app(Settings(models=str(models)))


def served(app, view):
    """Return a client of the application with another view at /classify."""
    app.wsgi_app = Shortcut(app.wsgi_app, "POST", "/classify", view, Problems(Metrics(CollectorRegistry())))
    return app.test_client()


def test_a_failure_is_answered_without_its_words_and_logged(app, caplog):
    def view(environ):
        raise RuntimeError("what only the log may say")

    response = served(app, view).post("/classify", data=b"x")

    assert (response.status_code, response.json["code"]) == (500, "internal-error")
    assert "only the log" not in response.text
    assert "what only the log may say" in caplog.text


@pytest.mark.parametrize(
    ("refusal", "status", "later"), [(SlowBody("late"), 408, None), (Overloaded("full"), 503, "1")]
)
def test_a_refusal_is_a_problem_that_says_when_to_ask_again(app, refusal, status, later):
    def view(environ):
        raise refusal

    response = served(app, view).post("/classify", data=b"x")

    assert response.status_code == status
    assert response.content_type == "application/problem+json"
    assert response.headers.get("Retry-After") == later


def test_refusals_are_counted_by_their_code(app, image):
    client = app.test_client()
    client.post("/classify", data=b"hello", content_type="image/png")
    client.post("/classify?model=none", data=image("bag"), content_type="image/png")
    client.get("/nothing")

    lines = client.get("/metrics").text.splitlines()

    for code in ("unreadable-image", "unknown-model", "not-found"):
        assert f'thimble_refusals_total{{code="{code}"}} 1.0' in lines


def test_flask_and_the_shortcut_give_the_same_answer(app, image):
    upload = {"data": image("bag"), "content_type": "image/png"}
    through_flask = app.test_client()
    short = app.test_client().post("/classify", **upload)

    del app.wsgi_app  # what is in front of Flask
    long = through_flask.post("/classify", **upload)

    assert short.json == long.json
    own = {"Server-Timing", "X-Request-ID"}
    assert {k: v for k, v in short.headers if k not in own} == {k: v for k, v in long.headers if k not in own}


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


def test_more_images_than_may_be_in_flight_are_refused_by_the_service(models, image, monkeypatch):
    app = create_app(Settings(models=str(models), workers=1, max_in_flight=1))
    second = {}

    def others(_):  # what comes in while the first waits for its turn
        monkeypatch.setattr("serving.inference.admission.time.sleep", lambda _: None)
        second["response"] = app.test_client().post("/classify", data=image("bag"), content_type="image/png")

    monkeypatch.setattr("serving.inference.admission.time.sleep", others)
    first = app.test_client().post("/classify", data=image("bag"), content_type="image/png")

    assert first.status_code == 200
    assert (second["response"].status_code, second["response"].json["code"]) == (503, "overloaded")
    assert second["response"].headers["Retry-After"] == "1"


def test_a_reply_says_its_length_to_the_server():
    heads = []

    body = Reply(b"{}", headers={"X-One": "1"}).wsgi(lambda status, headers: heads.append((status, dict(headers))))

    assert b"".join(body) == b"{}"
    assert heads == [("200 OK", {"Content-Type": "application/json", "Content-Length": "2", "X-One": "1"})]
