"""The probes and the metrics: alive is not yet ready."""

import pytest
from routers import add_router

from serving.app import create_app
from serving.settings import Settings


@pytest.fixture
def serve(folder):
    return lambda: create_app(Settings(models=str(folder))).test_client()


def test_a_service_with_models_is_alive_and_ready(client):
    assert client.get("/livez").json == {"live": True}
    assert client.get("/readyz").json == {"ready": True, "models": ["cifar-cnn:2", "fashion-mlp:2"]}


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


def test_a_router_alone_is_not_ready_since_it_has_no_model_to_choose(serve, folder):
    add_router(folder)
    client = serve()

    for path in ("/readyz", "/v2/health/ready"):
        assert client.get(path).status_code == 503
    assert client.get("/readyz").json["detail"].startswith("No model but the router is loaded;")


def test_a_model_that_gives_wrong_answers_by_now_is_not_ready(serve, forge, monkeypatch):
    forge("garments/1")
    client = serve()
    assert client.get("/readyz").status_code == 200

    monkeypatch.setattr("serving.model.classifier.GOLDEN_TOLERANCE", -1.0)  # as if memory had changed under it
    monkeypatch.setattr("serving.repository.golden_check.VALID_SECONDS", 0.0)

    problem = client.get("/readyz")
    assert problem.status_code == 503
    assert "The model 'garments' gives wrong answers: golden sample 1 in a batch of 4 differs" in problem.json["detail"]


def test_the_metrics_have_the_answers_and_the_references_of_the_cards(serve, forge, image):
    forge("garments/1")
    forge("broken/1").write_bytes(b"")
    client = serve()
    client.post("/classify", data=image("bag"), content_type="image/png")

    answer = client.get("/metrics")

    assert answer.content_type.startswith("text/plain; version=")
    lines = answer.text.splitlines()
    assert 'thimble_predictions_total{label="Bag",model="garments",version="1"} 1.0' in lines
    assert any(line.startswith('thimble_reference_novel_share{model="garments",version="1"} 0.0') for line in lines)
    assert 'thimble_model_loads_total{model="garments",result="loaded"} 1.0' in lines
    assert 'thimble_model_loads_total{model="broken",result="refused"} 1.0' in lines
    assert 'thimble_model_refused{model="broken",version="1"} 1.0' in lines
