"""GET /models: the models, and why one is unavailable."""

import hashlib
import json

import onnx
import pytest
from routers import add_router

from serving.app import create_app
from serving.settings import Settings

KEYS = {"name", "version", "versions", "states", "state", "role", "default", "digest", "card"}


@pytest.fixture
def serve(folder):
    """Return a starter of a service for the model folder as it is then."""
    return lambda: create_app(Settings(models=str(folder))).test_client()


def test_every_model_of_the_folder_is_listed(client, models):
    listed = client.get("/models").json["models"]

    assert [model["name"] for model in listed] == sorted(path.name for path in models.iterdir() if path.is_dir())
    assert all(set(model) == KEYS | {"default_reason"} for model in listed)
    assert all(model["state"] == "ready" for model in listed)


def test_a_default_says_for_what_and_why(client):
    reasons = {model["name"]: model["default_reason"] for model in client.get("/models").json["models"]}

    assert reasons == {
        "cifar-cnn": "things: the most accurate of CIFAR-10",
        "fashion-mlp": "garments: the most accurate of Fashion-MNIST",
    }


def test_the_router_is_listed_with_its_role_and_is_no_default(serve, forge, folder):
    forge("garments/1")
    add_router(folder)
    client = serve()

    listed = {model["name"]: model for model in client.get("/models").json["models"]}

    assert {name: model["role"] for name, model in listed.items()} == {"garments": "classifier", "router": "router"}
    assert (listed["router"]["default"], "default_reason" in listed["router"]) == (False, False)


def test_a_model_that_is_not_loaded_has_no_role(forge, folder):
    forge("garments/1")
    add_router(folder)
    client = create_app(Settings(models=str(folder), allow_loading=True)).test_client()

    assert client.post("/v2/repository/models/router/unload").status_code == 200

    assert client.get("/models/router").json["role"] is None


def test_a_model_is_found_by_name(client):
    listed = {model["name"]: model for model in client.get("/models").json["models"]}

    found = client.get("/models/cifar-cnn").json
    assert len(found["card"].pop("golden")) >= 3  # the list leaves them out
    assert found == listed["cifar-cnn"]


def test_a_listing_has_the_whole_card_of_the_file(client, models):
    path = models / "fashion-mlp" / "2" / "model.onnx"
    metadata = {entry.key: entry.value for entry in onnx.load(path).metadata_props}

    listed = client.get("/models/fashion-mlp").json

    assert listed["card"] == json.loads(metadata["thimble.card"])
    assert listed["digest"] == f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    assert listed["version"] == "2"
    assert listed["versions"] == ["2"]


def test_an_unknown_name_is_refused_with_those_that_exist(client):
    response = client.get("/models/nothing")

    assert response.status_code == 404
    assert response.json["code"] == "unknown-model"
    assert "Models: cifar-cnn, fashion-mlp." in response.json["detail"]


def test_a_model_that_cannot_be_loaded_is_listed_with_the_reason(serve, forge):
    forge("broken/1").write_bytes(b"")
    forge("broken/2", schema=2)
    forge("garments/1")

    listed = serve().get("/models/broken").json

    assert set(listed) == KEYS | {"reason"}
    assert (listed["state"], listed["default"], listed["version"]) == ("unavailable", False, None)
    assert listed["versions"] == ["1", "2"]
    assert "broken/1/model.onnx" in listed["reason"]
    assert "broken/2/model.onnx: the card is not valid" in listed["reason"]


def test_a_model_whose_highest_version_is_bad_is_ready_and_says_so(serve, forge):
    forge("garments/1")
    forge("garments/2").write_bytes(b"")

    listed = serve().get("/models/garments").json

    assert (listed["state"], listed["version"]) == ("ready", "1")
    assert "garments/2/model.onnx" in listed["reason"]


def test_every_version_is_listed_with_its_state(serve, forge):
    for version in ("1", "2"):
        forge(f"garments/{version}")
    forge("garments/3").write_bytes(b"")

    listed = serve().get("/models/garments").json

    oldest, answering, bad = listed["states"]
    assert oldest == {"version": "1", "state": "idle"}
    assert answering == {"version": "2", "state": "ready", "digest": listed["digest"]}
    assert (bad["version"], bad["state"]) == ("3", "unavailable")
    assert bad["reason"] == listed["reason"]


def test_the_default_of_each_colour_is_marked(serve, forge):
    metrics = {"accuracy": 0.1, "n": 100, "loss": 1.0, "ece": 0.1}
    forge("best/1")
    forge("garments/1", metrics=metrics)
    forge("things/1", of="cifar-cnn")

    listed = serve().get("/models").json["models"]

    assert {model["name"]: model["default"] for model in listed} == {"best": True, "garments": False, "things": True}


def test_an_empty_folder_lists_no_models(serve):
    assert serve().get("/models").json == {"models": []}
