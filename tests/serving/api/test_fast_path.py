"""The path past Flask's dispatch answers as Flask does, whatever happens."""

import pytest
from prometheus_client import CollectorRegistry

from serving.api.fast_path import FastPath
from serving.api.replies import ProblemReplies
from serving.api.request_log import SECURITY
from serving.app import create_app
from serving.errors import Overloaded, SlowBody
from serving.settings import Settings
from serving.telemetry.metrics import Metrics


@pytest.fixture
def app(models):
    return create_app(Settings(models=str(models)))


def client_of(app, view):
    """Return a client of the application with another view at /classify."""
    app.wsgi_app = FastPath(app.wsgi_app, "POST", "/classify", view, ProblemReplies(Metrics(CollectorRegistry())))
    return app.test_client()


def test_a_fault_is_logged_and_answered_without_its_message(app, caplog):
    def view(environ):
        raise RuntimeError("for the log alone")

    response = client_of(app, view).post("/classify", data=b"x")

    assert (response.status_code, response.json["code"]) == (500, "internal-error")
    assert "for the log" not in response.text
    assert "for the log alone" in caplog.text


@pytest.mark.parametrize(
    ("refusal", "status", "retry_after"), [(SlowBody("late"), 408, None), (Overloaded("full"), 503, "1")]
)
def test_a_refusal_is_a_problem_with_its_retry_after(app, refusal, status, retry_after):
    def view(environ):
        raise refusal

    response = client_of(app, view).post("/classify", data=b"x")

    assert response.status_code == status
    assert response.content_type == "application/problem+json"
    assert response.headers.get("Retry-After") == retry_after


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/models"),
        ("GET", "/models/fashion-mlp"),
        ("GET", "/livez"),
        ("GET", "/docs"),
        ("GET", "/openapi.json"),
        ("GET", "/static/page.js"),
        ("GET", "/v2"),
        ("GET", "/v2/health/ready"),
        ("GET", "/v2/models/fashion-mlp/versions/1/config"),
        ("POST", "/v2/repository/index"),
        ("GET", "/classify"),
        ("OPTIONS", "/explain"),
        ("HEAD", "/models"),
    ],
)
def test_a_slash_at_the_end_changes_nothing(app, method, path):
    client = app.test_client()

    with client.open(path, method=method) as without, client.open(f"{path}/", method=method) as slashed:
        assert (slashed.status_code, slashed.data) == (without.status_code, without.data)
        assert slashed.content_type == without.content_type


@pytest.mark.parametrize("path", ["/classify", "/explain"])
def test_a_slash_at_the_end_keeps_the_body_and_the_query(app, image, path):
    client, upload = app.test_client(), {"data": image("bag"), "content_type": "image/png"}

    assert client.post(f"{path}/?model=fashion-mlp", **upload).json == client.post(path, **upload).json


def test_a_slash_at_the_end_keeps_the_body_of_an_inference(app):
    body = {"inputs": [{"name": "image", "shape": [1, 28, 28, 1], "datatype": "UINT8", "data": [0] * 784}]}

    slashed, without = (app.test_client().post(f"/v2/models/fashion-mlp/infer{end}", json=body) for end in ("/", ""))

    assert (slashed.status_code, slashed.json) == (200, without.json)


@pytest.mark.parametrize("path", ["/classify//", "//classify", "/models//", "/v2//"])
def test_two_slashes_are_another_path(app, path):
    assert app.test_client().open(path, method="POST" if "classify" in path else "GET").status_code == 404


def test_flask_and_the_fast_path_give_the_same_answer(app, image):
    upload = {"data": image("bag"), "content_type": "image/png"}
    through_flask = app.test_client()
    fast = app.test_client().post("/classify", **upload)

    del app.wsgi_app  # the layers in front of Flask
    slow = through_flask.post("/classify", **upload)

    assert fast.json == slow.json
    own = {"Server-Timing", "X-Request-ID", *dict(SECURITY)}  # the layer before both adds these
    assert {name: value for name, value in fast.headers if name not in own} == {
        name: value for name, value in slow.headers if name not in own
    }
