"""Requests: their ids, their lines in the log, and their counts."""

import io
import json
import re
from base64 import b64encode
from collections.abc import Callable

import msgspec
import pytest
from graphs import error_for_plain_images
from pictures import noise, saved
from PIL import Image
from prometheus_client import CollectorRegistry

from serving.api.replies import ProblemReplies
from serving.api.request_log import RequestLog
from serving.app import create_app
from serving.lifecycle import Lifecycle
from serving.settings import Settings
from serving.telemetry.logs import RequestRecord
from serving.telemetry.metrics import Metrics


@pytest.fixture
def app(models):
    return create_app(Settings(models=str(models)))


@pytest.fixture
def lines(app, capfdbinary) -> Callable[[], list[dict]]:
    """Return a reader of the lines that the service has logged of requests."""

    def lines():
        Lifecycle.of(app).tick()
        return [json.loads(line) for line in capfdbinary.readouterr().err.splitlines() if b'"request":' in line]

    return lines


def test_a_response_has_the_id_that_the_client_sent(app, image, lines):
    answer = app.test_client().post(
        "/classify?model=fashion-mlp", data=image("bag"), headers={"X-Request-ID": "mine-7"}
    )

    (line,) = lines()
    assert answer.headers["X-Request-ID"] == line["request"] == "mine-7"


@pytest.mark.parametrize("given", ["", "two words", "x" * 129, "a\x7f", "ünique"])
def test_an_id_that_could_harm_a_log_is_replaced(app, given, lines):
    answer = app.test_client().get("/models", headers={"X-Request-ID": given.encode().decode("latin-1")})

    (line,) = lines()
    assert answer.headers["X-Request-ID"] == line["request"]
    assert re.fullmatch("[0-9a-f]{16}", line["request"])


@pytest.mark.parametrize(
    ("call", "path", "status"),
    [("post", "/classify", 400), ("get", "/nothing", 404), ("put", "/classify", 405), ("get", "/v2/models/none", 404)],
)
def test_a_refusal_has_an_id_and_is_a_warning(app, lines, call, path, status):
    answer = getattr(app.test_client(), call)(path)

    (line,) = lines()
    assert answer.status_code == status
    assert answer.headers["X-Request-ID"] == line["request"]
    assert (line["level"], line["status"], line["path"]) == ("warning", status, path)


def test_a_malformed_request_is_logged_with_an_id(app, lines):
    heads = []

    body = Lifecycle.of(app).malformed(
        "nonsense", "/a?b", lambda status, headers: heads.append((status, dict(headers)))
    )

    ((status, headers),), (line,) = heads, lines()
    assert status == "400 Bad Request"
    assert b"Not a valid HTTP/1.1 request: nonsense." in b"".join(body)
    assert headers["X-Request-ID"] == line["request"]
    assert (line["status"], line["method"], line["path"]) == (400, "", "/a")


def test_a_line_has_the_models_the_images_and_the_times(app, image, lines):
    app.test_client().post("/classify", data=image("bag"), content_type="image/png")

    (line,) = lines()
    assert (line["models"], line["images"]) == (["fashion-mlp:2"], 1)
    assert set(line["stages"]) == {"decode", "fit", "infer"}
    assert 0 < sum(line["stages"].values()) <= line["ms"]
    assert line["sent"] > 100


@pytest.mark.parametrize(("path", "logged"), [("/größe/靴", "/größe/靴"), ("/%ff", "/\ufffd")])
def test_a_path_is_logged_as_it_was_sent(app, lines, path, logged):
    app.test_client().get(path)

    (line,) = lines()
    assert line["path"] == logged


def test_probes_are_logged_only_when_they_fail(app, lines, tmp_path):
    client = app.test_client()
    for path in ("/livez", "/readyz", "/metrics", "/v2/health/ready"):
        assert client.get(path).status_code == 200
    empty = create_app(Settings(models=str(tmp_path))).test_client()

    assert empty.get("/readyz").status_code == 503

    (line,) = lines()
    assert (line["path"], line["status"], line["level"]) == ("/readyz", 503, "error")


def test_requests_are_counted_by_model_and_status(app, image):
    client = app.test_client()
    for data in (image("bag"), image("bag"), b"no image"):
        client.post("/classify?model=fashion-mlp", data=data, content_type="image/png")
    Lifecycle.of(app).tick()

    counts = client.get("/metrics").text

    assert 'thimble_requests_total{model="fashion-mlp",status="200",version="2"} 2.0' in counts
    assert 'thimble_requests_total{model="",status="422",version=""} 1.0' in counts


def test_a_model_whose_graph_runs_image_by_image_after_a_failure_is_logged_and_counted_once(
    forge, folder, image, capfdbinary
):
    forge("fashion-mlp/3", edit=error_for_plain_images)
    app = create_app(Settings(models=str(folder)))
    uploads = [saved(Image.new("L", (28, 28)), "PNG"), image("bag"), image("pullover")]
    client = app.test_client()

    answer = client.post(
        "/classify?model=fashion-mlp", json={"images": [b64encode(upload).decode() for upload in uploads]}
    )
    Lifecycle.of(app).tick()

    (line,) = [json.loads(line) for line in capfdbinary.readouterr().err.splitlines() if b'"/classify"' in line]
    assert [prediction.get("label") for prediction in answer.json["predictions"]] == [None, "Bag", "Pullover"]
    assert (line["models"], line["images"]) == (["fashion-mlp:3"], 2)
    counted = 'thimble_requests_total{model="fashion-mlp",status="200",version="3"} 1.0'
    assert counted in client.get("/metrics").text


def test_a_request_that_two_models_answer_counts_for_each(app, image):
    client = app.test_client()
    things = saved(noise(32, 32), "PNG")
    uploads = {"grey": (io.BytesIO(image("bag")), "a.png"), "colour": (io.BytesIO(things), "b.png")}

    answer = client.post("/classify", data=uploads)
    assert answer.status_code == 200, answer.text
    answered = answer.json["predictions"]
    Lifecycle.of(app).tick()

    counts = client.get("/metrics").text
    for model in {prediction["model"] for prediction in answered}:
        assert f'thimble_requests_total{{model="{model}",status="200",version="2"}} 1.0' in counts
    assert len({prediction["model"] for prediction in answered}) == 2


def test_requests_are_not_logged_when_that_is_turned_off(models, capfd):
    app = create_app(Settings(models=str(models), log_requests=False))

    app.test_client().get("/nothing")
    Lifecycle.of(app).tick()

    assert '"request":' not in capfd.readouterr().err


def test_as_text_a_request_is_one_line(models, image, capfd):
    app = create_app(Settings(models=str(models), log_format="text"))

    app.test_client().post("/classify", data=image("bag"), content_type="image/png", headers={"X-Request-ID": "me"})
    Lifecycle.of(app).tick()

    assert re.search(r"Z 200 POST /classify fashion-mlp:2 x 1 [\d.]+ ms me\n", capfd.readouterr().err)


def test_control_characters_of_a_path_are_not_logged():
    record = RequestRecord(
        time="now", level="info", request="1", method="GET", path="/\x1b[2J", status=404, sent=0, ms=0.1
    )

    assert b"\x1b" not in record.text()
    assert b"\x1b" not in record.json()


def test_lines_are_written_in_pieces_that_a_pipe_writes_whole():
    written: list[bytes] = []

    def application(_, start_response):
        start_response("200 OK", [("Content-Length", "0")])
        return [b""]

    metrics = Metrics(CollectorRegistry())
    request_log = RequestLog(application, ProblemReplies(metrics), metrics, written.append)

    for number in range(100):
        request_log({"PATH_INFO": f"/{number}", "REQUEST_METHOD": "GET"}, lambda *_: None)
    request_log.flush()

    assert max(map(len, written)) <= 4_096
    assert 1 < len(written) < 20
    paths = [msgspec.json.decode(line)["path"] for line in b"".join(written).splitlines()]
    assert paths == [f"/{number}" for number in range(100)]
