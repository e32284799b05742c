"""The Open Inference Protocol around inference: server, health, models, metadata, configuration."""

import re
from pathlib import Path

import pytest

from serving.app import create_app
from serving.settings import Settings

DOCUMENT = (Path(__file__).parents[4] / "docs" / "v2.md").read_text()


@pytest.fixture
def serve(folder):
    return lambda **settings: create_app(Settings(models=str(folder), **settings)).test_client()


def test_the_server_lists_its_extensions(client):
    answer = client.get("/v2").json

    assert answer["name"] == "thimble"
    assert re.fullmatch(r"\d+\.\d+\.\d+", answer["version"])
    assert set(answer["extensions"]) == {
        *("classification", "binary_tensor_data", "model_repository", "model_configuration", "parameters"),
        "statistics",
    }


def test_a_server_that_is_not_installed_has_an_unknown_version(client, monkeypatch):
    monkeypatch.setattr("serving.version.NAME", "thimble-elsewhere")

    assert client.get("/v2").json["version"] == "unknown"


def test_a_service_with_models_is_live_and_ready(client):
    assert client.get("/v2/health/live").json == {"live": True}
    assert client.get("/v2/health/ready").json == {"live": True, "ready": True}


def test_a_service_without_models_is_live_and_not_ready(serve):
    client = serve()

    ready = client.get("/v2/health/ready")

    assert client.get("/v2/health/live").status_code == 200
    assert ready.status_code == 503
    assert ready.headers["Retry-After"] == "5"
    assert list(ready.json) == ["error"]


@pytest.mark.parametrize("path", ["fashion-mlp", "fashion-mlp/versions/2"])
def test_a_model_is_ready_with_or_without_its_version(client, path):
    assert client.get(f"/v2/models/{path}/ready").json == {"name": "fashion-mlp", "ready": True}


def test_a_model_that_cannot_be_loaded_is_not_ready(serve, forge):
    forge("broken/1").write_bytes(b"")

    answer = serve().get("/v2/models/broken/ready")

    assert answer.status_code == 503
    assert "'broken' cannot be served" in answer.json["error"]


@pytest.mark.parametrize(("model", "shape"), [("fashion-mlp", [-1, 28, 28, 1]), ("cifar-cnn", [-1, 32, 32, 3])])
def test_the_metadata_has_the_tensors_of_the_graph(client, model, shape):
    assert client.get(f"/v2/models/{model}").json == {
        "name": model,
        "versions": ["2"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "image", "datatype": "UINT8", "shape": shape}],
        "outputs": [
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]},
            {"name": "novelty", "datatype": "FP32", "shape": [-1, 1]},
        ],
    }


def test_the_metadata_has_every_version(serve, forge):
    forge("garments/1")
    forge("garments/3")

    assert serve().get("/v2/models/garments/versions/1").json["versions"] == ["1", "3"]


def test_the_configuration_has_the_limits_of_this_service(serve, forge):
    forge("garments/1")

    configuration = serve(max_images=7, workers=3).get("/v2/models/garments/config").json

    assert configuration["max_batch_size"] == 7
    assert configuration["instance_group"] == [{"name": "garments", "kind": "KIND_CPU", "count": 3}]


@pytest.mark.parametrize("what", ["", "/ready", "/config", "/stats"])
@pytest.mark.parametrize("model", ["nothing", "fashion-mlp/versions/1", "fashion-mlp/versions/latest"])
def test_an_unknown_model_or_version_is_refused_with_those_that_exist(client, model, what):
    answer = client.get(f"/v2/models/{model}{what}")

    assert answer.status_code == 404
    assert list(answer.json) == ["error"]
    assert re.search(r"(Models|Versions): \w", answer.json["error"])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2//", 404),
        ("GET", "/v2/nothing", 404),
        ("GET", "/v2/logging", 404),
        ("POST", "/v2", 405),
        ("GET", "/v2/models/fashion-mlp/infer", 405),
        ("POST", "/v2/models/fashion-mlp/infer", 400),
    ],
)
def test_a_refusal_is_an_error_in_the_protocols_form(client, method, path, status):
    answer = client.open(path, method=method)

    assert answer.status_code == status
    assert answer.content_type == "application/json"
    assert list(answer.json) == ["error"]
    assert isinstance(answer.json["error"], str)


def test_a_path_that_only_begins_like_the_protocols_is_refused_as_the_others_are(client):
    assert client.get("/v20").content_type == "application/problem+json"


def test_an_unknown_path_is_refused_with_the_known_ones_of_its_kind(client):
    protocol, rest = client.get("/v2/nothing").json["error"], client.get("/nothing").json["detail"]

    assert "/v2/repository/index" in protocol
    assert "/classify" not in protocol
    assert "/classify" in rest


def test_a_fault_is_an_error_without_its_message(models):
    app = create_app(Settings(models=str(models)))

    @app.get("/v2/fault")
    def fault():
        raise RuntimeError("for the log alone")

    answer = app.test_client().get("/v2/fault")

    assert answer.status_code == 500
    assert answer.json == {"error": "The service failed to answer; its log says why."}


def test_the_document_lists_every_route(client):
    documented = set(re.findall(r"`(GET|POST) (/v2[^`]*)`", DOCUMENT))

    rules = [rule for rule in client.application.url_map.iter_rules() if rule.rule.startswith("/v2")]
    routes = {(method, rule.rule) for rule in rules for method in rule.methods - {"HEAD", "OPTIONS"}}
    assert {(method, path.replace("/versions/<version>", "")) for method, path in routes} == documented
