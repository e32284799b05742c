"""Triton's statistics, of requests in either protocol."""

import time
from base64 import b64encode

import numpy as np
import pytest
from graphs import error_for_plain_images
from pictures import noise, saved
from PIL import Image
from v2_client import files_input, infer, pixels_input

from serving.app import create_app
from serving.settings import Settings
from serving.telemetry.metrics import INTERNAL_PREFIX


@pytest.fixture
def client(models):
    """Return a client of a service without requests so far."""
    return create_app(Settings(models=str(models))).test_client()


def statistics(client, path="fashion-mlp"):
    (found,) = client.get(f"/v2/models/{path}/stats").json["model_stats"]
    return found


def classify(client, upload, query=""):
    return client.post(f"/classify{query}", data=upload, content_type="image/png")


def test_without_requests_all_counts_are_zero(client):
    answer = client.get("/v2/models/stats").json["model_stats"]

    assert [(entry["name"], entry["version"]) for entry in answer] == [("cifar-cnn", "2"), ("fashion-mlp", "2")]
    assert {(entry["inference_count"], entry["last_inference"]) for entry in answer} == {(0, 0)}


def test_requests_in_either_protocol_are_counted_together(client, image):
    classify(client, image("bag"))
    infer(client, pixels_input(np.zeros((5, 28, 28, 1), np.uint8)))
    infer(client, files_input(image("bag"), image("trouser")))

    found = statistics(client)

    assert (found["inference_count"], found["execution_count"]) == (8, 3)
    assert found["inference_stats"]["success"]["count"] == 3
    assert [batch["batch_size"] for batch in found["batch_stats"]] == [1, 2, 5]
    assert [batch["compute_infer"]["count"] for batch in found["batch_stats"]] == [1, 1, 1]


def test_an_explanation_is_a_request_for_one_image(client, image):
    client.post("/explain", data=image("bag"), content_type="image/png")

    found = statistics(client)

    assert (found["inference_count"], found["execution_count"]) == (1, 1)
    assert found["inference_stats"]["success"]["count"] == 1
    assert found["inference_stats"]["compute_infer"]["ns"] > 0


@pytest.mark.parametrize("upload", ["text", "two images", "bag of no label"])
def test_a_refused_explanation_that_named_a_model_is_a_failure_of_it(client, image, upload):
    if upload == "text":
        refused = client.post("/explain?model=fashion-mlp", data=b"hello", content_type="image/png")
    elif upload == "two images":
        texts = [b64encode(image("bag")).decode()] * 2
        refused = client.post("/explain?model=fashion-mlp", json={"images": texts})
    else:
        refused = client.post("/explain?model=fashion-mlp&label=cat", data=image("bag"), content_type="image/png")

    assert 400 <= refused.status_code < 500
    assert statistics(client)["inference_stats"]["fail"]["count"] == 1
    assert statistics(client)["inference_count"] == 0


def test_a_request_at_which_the_graph_fails_is_a_failure_of_its_model(forge, folder, caplog):
    forge("fashion-mlp/3", edit=error_for_plain_images)
    client = create_app(Settings(models=str(folder))).test_client()
    plain = saved(Image.new("L", (28, 28)), "PNG")

    refused = [
        classify(client, plain, "?model=fashion-mlp"),
        client.post("/explain?model=fashion-mlp", data=plain, content_type="image/png"),
        infer(client, files_input(plain)),
    ]

    assert [answer.status_code for answer in refused] == [500, 500, 500]
    assert refused[2].json == {"error": "The service failed to answer; its log says why."}
    assert statistics(client)["inference_stats"]["fail"]["count"] == 3
    assert [line.partition("(")[0] for line in caplog.messages] == [
        "The graph of fashion-mlp:3 failed: InvalidArgument"
    ] * 3


def test_the_parts_add_up_to_the_whole(client, image):
    classify(client, image("bag"))
    infer(client, pixels_input(np.zeros((5, 28, 28, 1), np.uint8)))

    found = statistics(client)["inference_stats"]

    parts = [found[part]["ns"] for part in ("queue", "compute_input", "compute_infer", "compute_output")]
    assert min(parts) > 0
    assert found["success"]["ns"] == pytest.approx(sum(parts), abs=10)


def test_a_request_to_two_models_counts_for_each(client, image):
    texts = [b64encode(upload).decode() for upload in (image("bag"), image("bag"), saved(noise(), "PNG"))]
    client.post("/classify", json={"images": texts})

    assert [statistics(client, model)["inference_count"] for model in ("fashion-mlp", "cifar-cnn")] == [2, 1]
    assert [statistics(client, model)["execution_count"] for model in ("fashion-mlp", "cifar-cnn")] == [1, 1]


@pytest.mark.parametrize("path", ["fashion-mlp", "fashion-mlp/versions/2"])
def test_a_refused_request_that_named_a_model_is_a_failure_of_it(client, path):
    classify(client, b"hello", "?model=fashion-mlp")
    classify(client, b"hello", "?model=fashion-mlp:2")
    infer(client, files_input(b"hello"))
    infer(client, files_input(b"hello"), model="fashion-mlp/versions/2")

    found = statistics(client, path)

    assert found["inference_stats"]["fail"]["count"] == 4
    assert found["inference_stats"]["fail"]["ns"] > 0
    assert found["inference_count"] == 0


def test_a_refused_request_without_an_existing_model_is_not_a_failure_of_any(client):
    classify(client, b"hello")
    classify(client, b"hello", "?model=nothing")
    infer(client, files_input(b"hello"), model="nothing")
    infer(client, files_input(b"hello"), model="fashion-mlp/versions/9")

    assert {
        entry["inference_stats"]["fail"]["count"] for entry in client.get("/v2/models/stats").json["model_stats"]
    } == {0}
    assert "nv_inference_request_failure{" not in client.get("/metrics").text


def test_a_model_that_cannot_be_loaded_has_no_statistics(forge, folder):
    forge("broken/1").write_bytes(b"")
    client = create_app(Settings(models=str(folder))).test_client()

    infer(client, files_input(b"hello"), model="broken")

    assert client.get("/v2/models/broken/stats").json == {"model_stats": []}


def test_the_metrics_have_tritons_names(client, image):
    classify(client, image("bag"))
    infer(client, pixels_input(np.zeros((5, 28, 28, 1), np.uint8)))
    infer(client, files_input(b"hello"))

    lines = dict(line.rsplit(" ", 1) for line in client.get("/metrics").text.splitlines() if line[0] != "#")

    whose = '{model="fashion-mlp",version="2"}'
    assert [lines[f"nv_inference_{name}{whose}"] for name in ("request_success", "count", "exec_count")] == [
        *("2.0", "6.0", "2.0"),
    ]
    assert lines['nv_inference_request_failure{model="fashion-mlp",reason="OTHER",version="2"}'] == "1.0"
    parts = [f"nv_inference_{part}_duration_us{whose}" for part in ("queue", "compute_input", "compute_output")]
    total = float(lines[f"nv_inference_request_duration_us{whose}"])
    assert 0 < float(lines[f"nv_inference_compute_infer_duration_us{whose}"]) < total
    assert all(float(lines[part]) < total for part in parts)
    assert not any(f"thimble_{INTERNAL_PREFIX}" in line for line in lines)


def test_inferences_count_for_drift(client):
    infer(client, pixels_input(np.zeros((5, 28, 28, 1), np.uint8)))

    lines = client.get("/metrics").text.splitlines()

    assert 'thimble_brightness_count{model="fashion-mlp",version="2"} 5.0' in lines


def test_an_overload_counts_as_rejected(models, image, while_waiting):
    client = create_app(Settings(models=str(models), workers=1, max_in_flight=1)).test_client()

    while_waiting(lambda: classify(client, image("bag"), "?model=fashion-mlp"))
    classify(client, image("bag"))

    line = 'nv_inference_request_failure{model="fashion-mlp",reason="REJECTED",version="2"} 1.0'
    assert line in client.get("/metrics").text.splitlines()


def test_the_last_answer_has_its_time_in_milliseconds(client, image):
    before = time.time() * 1000
    classify(client, image("bag"))

    assert before - 1 <= statistics(client)["last_inference"] <= time.time() * 1000 + 1


def test_older_versions_have_statistics_of_their_own(forge, folder):
    forge("garments/1")
    forge("garments/2")
    client = create_app(Settings(models=str(folder))).test_client()
    pixels = pixels_input(np.zeros((1, 28, 28, 1), np.uint8))

    infer(client, pixels, model="garments/versions/1")

    entries = client.get("/v2/models/garments/stats").json["model_stats"]
    assert [(entry["version"], entry["inference_count"]) for entry in entries] == [("1", 1), ("2", 0)]
