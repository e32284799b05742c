"""The probes: alive is not yet ready."""

import pytest

from serving.app import create_app
from serving.settings import Settings


@pytest.fixture
def serve(folder):
    return lambda: create_app(Settings(models=str(folder))).test_client()


def test_a_service_with_models_is_alive_and_ready(client):
    assert client.get("/livez").json == {"live": True}
    assert client.get("/readyz").json == {"ready": True, "models": ["cifar-cnn:1", "fashion-mlp:1"]}


def test_a_service_without_models_is_alive_but_not_ready(serve):
    client = serve()

    response = client.get("/readyz")

    assert client.get("/livez").status_code == 200
    assert response.status_code == 503
    assert response.json["code"] == "no-model"
    assert response.headers["Retry-After"] == "5"


def test_a_service_whose_models_are_all_broken_is_not_ready(serve, forge):
    forge("garments/1").write_bytes(b"")

    assert serve().get("/readyz").status_code == 503


def test_one_sound_model_is_enough_to_be_ready(serve, forge):
    forge("broken/1").write_bytes(b"")
    forge("garments/2")

    assert serve().get("/readyz").json["models"] == ["garments:2"]
