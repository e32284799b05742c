"""The application: every refusal is a problem document."""

import re

import pytest
from werkzeug.exceptions import ImATeapot

from serving.app import create_app
from serving.errors import SlowBody
from serving.settings import Settings, SettingsError

KEYS = {"type", "title", "status", "detail", "code"}
SECRET = "for the log alone"


@pytest.fixture
def faulty(models):
    """Return a client of a service with routes that fail."""
    app = create_app(Settings(models=str(models)))

    @app.get("/fault")
    def fault():
        raise RuntimeError(SECRET)

    @app.get("/teapot")
    def teapot():
        raise ImATeapot

    @app.get("/slow")
    def slow():
        raise SlowBody("The body did not arrive.")

    app.add_url_rule("/folder/", view_func=lambda: "here", endpoint="folder")
    return app.test_client()


@pytest.mark.parametrize(
    ("method", "address", "status", "code"),
    [
        ("GET", "/nothing", 404, "not-found"),
        ("GET", "/models//", 404, "not-found"),
        ("GET", "/classify/", 405, "method-not-allowed"),
        ("GET", "/static/app.js", 404, "not-found"),
        ("GET", "/models/nothing", 404, "unknown-model"),
        ("GET", "/classify", 405, "method-not-allowed"),
        ("DELETE", "/models", 405, "method-not-allowed"),
        ("POST", "/readyz", 405, "method-not-allowed"),
        ("POST", "/classify", 400, "bad-request"),
        ("POST", "/classify?top_k=0", 400, "bad-request"),
        ("POST", "/classify?model=nothing", 400, "bad-request"),
    ],
)
def test_a_refusal_is_a_problem_document_with_exactly_the_promised_fields(client, method, address, status, code):
    response = client.open(address, method=method)

    assert response.status_code == status
    assert response.content_type == "application/problem+json"
    assert set(response.json) == KEYS
    assert response.json["status"] == status
    assert response.json["code"] == code
    assert response.json["type"] == f"urn:thimble:problem:{code}"


def test_an_unknown_path_is_refused_with_those_that_exist(client):
    detail = client.get("/nothing").json["detail"]

    assert detail.startswith("No such path. Paths: ")
    paths = detail.removeprefix("No such path. Paths: ").rstrip(".").split(", ")
    assert {"/classify", "/livez", "/models", "/models/<name>", "/readyz", "/v2"} <= set(paths)
    assert "/v2/models/<name>" not in paths  # those are listed below /v2


JAVA = "text/html, image/gif, image/jpeg, */*; q=0.2"  # that of its HttpURLConnection
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.mark.parametrize(
    "path", ["/nothing", "/static/nothing.html", "/docs/nothing", "/index.html", "/v3", "/\u2603<b>"]
)
def test_a_browser_gets_an_unknown_path_as_a_page_with_the_way_back(client, path):
    response = client.get(path, headers={"Accept": BROWSER})

    assert response.status_code == 404
    assert response.content_type == "text/html; charset=utf-8"
    assert "accept" in response.vary
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert {"/", "/docs"} <= set(re.findall(r'<a href="([^"]+)"', response.text))
    assert "<b>" not in response.text
    assert re.findall(r'<script[^>]*src="/static/"', response.text) == []


@pytest.mark.parametrize(
    "accept",
    [None, "*/*", "application/json", "application/problem+json, text/html;q=0.9", "text/html;q=0.5, */*", "?", JAVA],
)
def test_a_program_gets_an_unknown_path_as_a_problem(client, accept):
    response = client.get("/nothing", headers={"Accept": accept} if accept else {})

    assert (response.status_code, response.content_type) == (404, "application/problem+json")
    assert "accept" in response.vary


@pytest.mark.parametrize("path", ["/v2/nothing", "/v2/models/nothing", "/v2/models/fashion-mlp/nothing"])
def test_the_protocol_keeps_its_form_in_a_browser(client, path):
    response = client.get(path, headers={"Accept": BROWSER})

    assert (response.status_code, response.content_type) == (404, "application/json")
    assert list(response.json) == ["error"]


def test_a_method_that_is_not_allowed_is_refused_with_those_that_are(client):
    response = client.get("/classify")

    assert response.headers["Allow"] == "OPTIONS, POST"
    assert response.json["detail"] == "GET is not allowed here; use OPTIONS, POST."


@pytest.mark.parametrize("host", ["a..b", f"{'a' * 64}.example"])
def test_a_host_that_cannot_be_one_is_named(client, host):
    response = client.get("/models", headers={"Host": host})

    assert response.status_code == 400
    assert response.json["detail"] == f"The Host {host!r} is not a valid name of a host."


def test_the_service_as_a_whole_says_which_methods_it_has(client):
    response = client.open(method="OPTIONS", environ_overrides={"PATH_INFO": "*"})

    assert (response.status_code, response.data) == (200, b"")
    assert response.headers["Allow"] == "GET, HEAD, OPTIONS, POST"


@pytest.mark.parametrize("address", ["/models", "/models/fashion-mlp", "/livez", "/readyz"])
def test_head_is_answered_as_get_without_the_body(client, address):
    head, get = client.head(address), client.get(address)

    assert head.status_code == 200
    assert head.data == b""
    assert head.headers["Content-Length"] == get.headers["Content-Length"] == str(len(get.data))


@pytest.mark.parametrize(("address", "method"), [("/classify", "POST"), ("/models", "GET"), ("/livez", "GET")])
def test_options_is_answered_with_the_methods(client, address, method):
    response = client.options(address)

    assert response.status_code == 200
    assert method in response.headers["Allow"]


def test_a_fault_is_a_problem_without_the_exceptions_message(faulty, caplog):
    response = faulty.get("/fault")

    assert response.status_code == 500
    assert response.content_type == "application/problem+json"
    assert response.json["code"] == "internal-error"
    assert SECRET not in response.text
    assert "RuntimeError" not in response.text
    assert SECRET in caplog.text


def test_an_http_error_of_flask_is_a_problem(faulty):
    response = faulty.get("/teapot")

    assert response.content_type == "application/problem+json"
    assert set(response.json) == KEYS
    assert "teapot" in response.json["detail"]


def test_a_redirect_is_not_a_refusal(faulty):
    response = faulty.get("/folder")

    assert response.status_code == 308
    assert response.headers["Location"].endswith("/folder/")


def test_only_a_temporary_refusal_has_retry_after(faulty, client):
    assert "Retry-After" not in faulty.get("/slow").headers
    assert "Retry-After" not in client.get("/nothing").headers


def test_without_settings_the_environment_is_read(monkeypatch, models):
    monkeypatch.setenv("THIMBLE_MODELS", str(models))

    assert create_app().test_client().get("/readyz").status_code == 200


def test_bad_settings_in_the_environment_stop_the_application(monkeypatch):
    monkeypatch.setenv("THIMBLE_MAX_BODY", "much")

    with pytest.raises(SettingsError, match="THIMBLE_MAX_BODY='much'"):
        create_app()
