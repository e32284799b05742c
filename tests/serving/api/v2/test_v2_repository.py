"""The index of models; loading and unloading, which an operator must have allowed."""

import json

import pytest
from flask import Flask

from serving.api.uploads import Limits, Memory
from serving.api.v2.repository import blueprint
from serving.app import create_app
from serving.errors import NoModel, Refusal
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
    """Notes what it is told; of one model it says that it cannot."""

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
    limits = Limits(1_000, 1, Deadline(1), Memory(10_000))
    app.register_blueprint(blueprint(Repository(folder), loader, limits))
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
    assert "no version in it" in entry["reason"]


def test_the_index_may_be_of_what_is_ready_alone(index, forge):
    forge("broken/1").write_bytes(b"")
    forge("garments/1")

    assert [entry["name"] for entry in index('{"ready": true}')] == ["garments"]


@pytest.mark.parametrize("body", ["{", "[]", '{"ready": 1}'])
def test_an_index_request_of_another_form_is_refused(client, body):
    response = client.post("/v2/repository/index", data=body)

    assert response.status_code == 400
    assert "cannot be taken" in response.json["error"]


@pytest.mark.parametrize("what", ["load", "unload"])
def test_loading_is_refused_unless_an_operator_allows_it(client, what):
    response = client.post(f"/v2/repository/models/fashion-mlp/{what}", data="{}")

    assert response.status_code == 403
    assert "THIMBLE_ALLOW_LOADING=true" in response.json["error"]


@pytest.mark.parametrize("what", ["load", "unload"])
@pytest.mark.parametrize("body", ["", "{}", '{"parameters": {}}', '{"parameters": {"unload_dependents": false}}'])
def test_what_is_allowed_is_done(allowed, loader, what, body):
    response = allowed.post(f"/repository/models/garments/{what}", data=body)

    assert (response.status_code, response.json) == (200, {})
    assert loader.done == [(what, "garments")]


@pytest.mark.parametrize("parameter", ["config", "file:1/model.onnx", "url"])
@pytest.mark.parametrize("what", ["load", "unload"])
def test_a_model_never_comes_with_the_request(allowed, loader, what, parameter):
    body = json.dumps({"parameters": {parameter: "x"}})

    response = allowed.post(f"/repository/models/garments/{what}", data=body)

    assert response.status_code == 400
    assert f"The parameter {parameter!r} is not taken" in response.text
    assert loader.done == []


def test_a_load_request_of_another_form_is_refused(allowed, loader):
    assert allowed.post("/repository/models/garments/load", data='{"parameters": {"a": []}}').status_code == 400
    assert loader.done == []


def test_why_a_model_cannot_be_loaded_is_told(allowed):
    response = allowed.post("/repository/models/broken/load")

    assert (response.status_code, response.text) == (503, "It is broken.")


def test_the_body_has_the_limit_of_the_others(allowed):
    assert allowed.post("/repository/models/garments/load", data=" " * 1_001).status_code == 413


@pytest.mark.parametrize("what", ["load", "unload"])
def test_with_loading_allowed_the_repository_is_asked(models, what):
    client = create_app(Settings(models=str(models), allow_loading=True)).test_client()

    response = client.post(f"/v2/repository/models/nothing/{what}")

    assert response.status_code == 404
    assert "There is no model 'nothing'" in response.json["error"]
