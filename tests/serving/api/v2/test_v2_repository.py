"""The index of models; loading and unloading, where an operator allows it."""

import gzip
import json

import pytest

from serving.app import create_app
from serving.settings import Settings

ONE, BOTH = [("1", "READY")], [("1", "READY"), ("2", "READY")]
NONE = [("1", "UNAVAILABLE"), ("2", "UNAVAILABLE")]


@pytest.fixture
def index(folder):
    """Return a reader of the index of a service with the folder's models."""

    def read(body=""):
        return create_app(Settings(models=str(folder))).test_client().post("/v2/repository/index", data=body).json

    return read


@pytest.fixture
def allowed(folder, forge):
    """Return a client of a service whose operator allows loading: version 2 of its model has come since it started."""
    forge("garments/1")
    settings = Settings(models=str(folder), allow_loading=True, poll_seconds=0, max_body=1_000)
    client = create_app(settings).test_client()
    forge("garments/2")
    return client


def versions(client):
    """Return the versions in the index with their states."""
    return [(entry["version"], entry["state"]) for entry in client.post("/v2/repository/index").json]


@pytest.mark.parametrize("body", ["", "{}", '{"ready": false}', '{"repository_name": "x"}'])
def test_the_index_has_every_version_with_its_state(index, forge, body):
    forge("garments/1")
    forge("garments/2")
    forge("garments/3").write_bytes(b"")

    entries = index(body)

    assert [(entry["name"], entry["version"], entry["state"]) for entry in entries] == [
        ("garments", "1", "READY"),
        ("garments", "2", "READY"),
        ("garments", "3", "UNAVAILABLE"),
    ]
    assert [bool(entry["reason"]) for entry in entries] == [False, False, True]
    assert "3/model.onnx: onnxruntime cannot load it" in entries[2]["reason"]


def test_a_folder_without_a_version_is_in_the_index_with_the_reason(index, folder):
    (folder / "empty").mkdir()

    (entry,) = index()

    assert (entry["version"], entry["state"]) == ("", "UNAVAILABLE")
    assert "it has no version" in entry["reason"]


def test_the_index_may_list_ready_models_only(index, forge):
    forge("broken/1").write_bytes(b"")
    forge("garments/1")

    assert [entry["name"] for entry in index('{"ready": true}')] == ["garments"]


@pytest.mark.parametrize("body", ["{", "[]", '{"ready": 1}'])
def test_an_index_request_of_another_form_is_refused(client, body):
    response = client.post("/v2/repository/index", data=body)

    assert response.status_code == 400
    assert "is not valid" in response.json["error"]


@pytest.mark.parametrize("what", ["load", "unload"])
def test_loading_is_refused_unless_an_operator_allows_it(client, what):
    response = client.post(f"/v2/repository/models/fashion-mlp/{what}", data="{}")

    assert response.status_code == 403
    assert "THIMBLE_ALLOW_LOADING=true" in response.json["error"]


@pytest.mark.parametrize(("what", "found"), [("load", BOTH), ("unload", NONE)])
@pytest.mark.parametrize("body", ["", "{}", '{"parameters": {}}', '{"parameters": {"unload_dependents": false}}'])
def test_an_allowed_change_is_made(allowed, what, found, body):
    response = allowed.post(f"/v2/repository/models/garments/{what}", data=body)

    assert (response.status_code, response.json) == (200, {})
    assert versions(allowed) == found


@pytest.mark.parametrize("parameter", ["config", "file:1/model.onnx", "url"])
@pytest.mark.parametrize("what", ["load", "unload"])
def test_a_model_in_the_request_is_refused(allowed, what, parameter):
    body = json.dumps({"parameters": {parameter: "x"}})

    response = allowed.post(f"/v2/repository/models/garments/{what}", data=body)

    assert response.status_code == 400
    assert f"The parameter {parameter!r} is unsupported" in response.json["error"]
    assert versions(allowed) == ONE


def test_a_load_request_of_another_form_is_refused(allowed):
    response = allowed.post("/v2/repository/models/garments/load", data='{"parameters": {"a": []}}')

    assert response.status_code == 400
    assert versions(allowed) == ONE


def test_a_refusal_to_load_has_the_reason(allowed, forge):
    forge("broken/1").write_bytes(b"")

    response = allowed.post("/v2/repository/models/broken/load")

    assert response.status_code == 503
    assert "broken/1/model.onnx: onnxruntime cannot load it" in response.json["error"]


def test_the_body_has_the_limit_of_all_bodies(allowed):
    assert allowed.post("/v2/repository/models/garments/load", data=" " * 1_001).status_code == 413


@pytest.mark.parametrize("what", ["load", "unload"])
def test_with_loading_allowed_the_repository_answers(models, what):
    client = create_app(Settings(models=str(models), allow_loading=True)).test_client()

    response = client.post(f"/v2/repository/models/nothing/{what}")

    assert response.status_code == 404
    assert "There is no model 'nothing'" in response.json["error"]


GZIP = {"Content-Encoding": "gzip"}


def test_the_body_of_the_index_may_be_compressed(folder, forge):
    forge("garments/1")
    client = create_app(Settings(models=str(folder))).test_client()

    def post(body, headers=GZIP):
        return client.post("/v2/repository/index", data=body, headers=headers)

    assert post(gzip.compress(b'{"ready": true}')).json == post(b'{"ready": true}', {}).json
    assert post(b"{}").status_code == 400
    assert post(b"{}", {"Content-Encoding": "br"}).status_code == 415


@pytest.mark.parametrize(("change", "found"), [("load", BOTH), ("unload", NONE)])
def test_the_body_of_a_change_may_be_compressed(allowed, change, found):
    def post(body):
        return allowed.post(f"/v2/repository/models/garments/{change}", data=gzip.compress(body), headers=GZIP)

    assert post(b"{}").status_code == 200
    assert versions(allowed) == found
    assert post(bytes(2_000)).status_code == 413
    assert post(b'{"parameters": {"config": "x"}}').status_code == 400
