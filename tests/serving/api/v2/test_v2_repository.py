"""The index of models; loading and unloading, where an operator allows it."""

import gzip
import json

import pytest
from flask import Flask

from serving.access.same_origin import SameOrigin
from serving.api.intake import Intake, MemoryBudget
from serving.api.v2.repository import blueprint
from serving.app import create_app
from serving.errors import NoModel, Refusal
from serving.inference.admission import Admission
from serving.repository.repository import Repository
from serving.server.deadline import Deadline
from serving.settings import Settings


@pytest.fixture
def index(folder):
    """Return a reader of the index of a service with the folder's models."""

    def read(body=""):
        return create_app(Settings(models=str(folder))).test_client().post("/v2/repository/index", data=body).json

    return read


class Loader:
    """Records the loads and unloads; refuses one model."""

    def __init__(self):
        self.done = []

    def load(self, name):
        if name == "broken":
            raise NoModel("It is broken.")
        self.done.append(("load", name))

    def unload(self, name):
        self.done.append(("unload", name))


@pytest.fixture
def loader():
    return Loader()


@pytest.fixture
def allowed(folder, loader):
    """Return a client of a service whose operator allows loading."""
    app = Flask("test")
    intake = Intake(1_000, 1, Deadline(1), MemoryBudget(10_000), Admission(1, 1.0))
    app.register_blueprint(blueprint(Repository(folder), loader, intake, SameOrigin(frozenset(), needs_key=False)))
    app.register_error_handler(Refusal, lambda refusal: (str(refusal), refusal.status))
    return app.test_client()


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


@pytest.mark.parametrize("what", ["load", "unload"])
@pytest.mark.parametrize("body", ["", "{}", '{"parameters": {}}', '{"parameters": {"unload_dependents": false}}'])
def test_an_allowed_change_is_made(allowed, loader, what, body):
    response = allowed.post(f"/repository/models/garments/{what}", data=body)

    assert (response.status_code, response.json) == (200, {})
    assert loader.done == [(what, "garments")]


@pytest.mark.parametrize("parameter", ["config", "file:1/model.onnx", "url"])
@pytest.mark.parametrize("what", ["load", "unload"])
def test_a_model_in_the_request_is_refused(allowed, loader, what, parameter):
    body = json.dumps({"parameters": {parameter: "x"}})

    response = allowed.post(f"/repository/models/garments/{what}", data=body)

    assert response.status_code == 400
    assert f"The parameter {parameter!r} is unsupported" in response.text
    assert loader.done == []


def test_a_load_request_of_another_form_is_refused(allowed, loader):
    assert allowed.post("/repository/models/garments/load", data='{"parameters": {"a": []}}').status_code == 400
    assert loader.done == []


def test_a_refusal_to_load_has_the_loaders_reason(allowed):
    response = allowed.post("/repository/models/broken/load")

    assert (response.status_code, response.text) == (503, "It is broken.")


def test_the_body_has_the_limit_of_all_bodies(allowed):
    assert allowed.post("/repository/models/garments/load", data=" " * 1_001).status_code == 413


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


@pytest.mark.parametrize("change", ["load", "unload"])
def test_the_body_of_a_change_may_be_compressed(allowed, loader, change):
    def post(body):
        return allowed.post(f"/repository/models/garments/{change}", data=gzip.compress(body), headers=GZIP)

    assert post(b"{}").status_code == 200
    assert loader.done == [(change, "garments")]
    assert post(bytes(2_000)).status_code == 413
    assert post(b'{"parameters": {"config": "x"}}').status_code == 400
