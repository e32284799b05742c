"""Inference as NVIDIA's client requests it: tensors or files in, numbers or labels out."""

from base64 import b64encode

import numpy as np
import pytest
from cards import without_novelty
from v2_client import files_input, infer, output, pixels_input, result

from serving.app import create_app
from serving.model.card import NOVELTY, PROBABILITIES
from serving.model.classifier import Classifier
from serving.settings import Settings

PIXELS = np.random.default_rng(5).integers(0, 256, (3, 28, 28, 1), np.uint8)


@pytest.fixture(scope="module")
def expected(models):
    """Return the graph's own outputs for the pixels."""
    return Classifier.open(models / "fashion-mlp" / "2" / "model.onnx").run(PIXELS)


@pytest.mark.parametrize("binary", [True, False])
def test_pixels_get_the_outputs_of_the_graph(client, expected, binary):
    answer = result(infer(client, pixels_input(PIXELS, binary)))

    assert np.abs(answer.as_numpy(PROBABILITIES) - expected.probabilities).max() < 1e-6
    assert np.abs(answer.as_numpy(NOVELTY)[:, 0] - expected.novelty).max() < 1e-6


@pytest.mark.parametrize("binary", [True, False])
def test_an_output_comes_in_the_requested_form(client, binary):
    response = infer(client, pixels_input(PIXELS), [output(PROBABILITIES, binary_data=binary)])

    tensor = result(response).get_output(PROBABILITIES)
    assert ("data" in tensor) != binary
    assert ("Inference-Header-Content-Length" in response.headers) == binary
    assert response.content_type == ("application/octet-stream" if binary else "application/json")
    assert result(response).get_output(NOVELTY) is None


def test_an_output_may_differ_from_the_default_form(client):
    outputs = [{"name": NOVELTY}, {"name": PROBABILITIES, "parameters": {"binary_data": False}}]
    tensor = {"name": "image", "shape": [3, 28, 28, 1], "datatype": "UINT8", "data": PIXELS.ravel().tolist()}
    request = {"inputs": [tensor], "outputs": outputs, "parameters": {"binary_data_output": True}}

    answer = result(client.post("/v2/models/fashion-mlp/infer", json=request)).get_response()

    assert [output["name"] for output in answer["outputs"]] == [NOVELTY, PROBABILITIES]
    assert ["data" in output for output in answer["outputs"]] == [False, True]


@pytest.mark.parametrize("arrange", [np.ravel, np.asarray, lambda pixels: pixels.reshape(3, -1)])
def test_numbers_may_be_in_lists_of_any_depth(client, expected, arrange):
    tensor = {"name": "image", "shape": [3, 28, 28, 1], "datatype": "UINT8", "data": arrange(PIXELS).tolist()}

    answer = client.post("/v2/models/fashion-mlp/infer", json={"inputs": [tensor]}).json

    probabilities, novelty = answer["outputs"]
    assert probabilities["shape"] == [3, 10]
    assert np.abs(np.array(probabilities["data"]).reshape(3, 10) - expected.probabilities).max() < 1e-6
    assert (novelty["name"], novelty["shape"], len(novelty["data"])) == (NOVELTY, [3, 1], 3)


def test_the_answer_names_the_model_its_version_and_the_request(client):
    answer = result(infer(client, pixels_input(PIXELS), request_id="seven")).get_response()

    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("fashion-mlp", "2", "seven")
    assert "id" not in result(infer(client, pixels_input(PIXELS))).get_response()


def test_unknown_parameters_are_ignored(client):
    options = {"priority": 3, "timeout": 10, "sequence_id": 5, "parameters": {"mine": "x", "yours": True}}

    assert infer(client, pixels_input(PIXELS), **options).status_code == 200


def test_a_version_may_be_named(client):
    assert infer(client, pixels_input(PIXELS), model="fashion-mlp/versions/2").status_code == 200
    assert infer(client, pixels_input(PIXELS), model="fashion-mlp/versions/1").status_code == 404


@pytest.mark.parametrize("binary", [True, False])
def test_labels_come_with_value_and_index_the_most_probable_first(client, expected, binary, models):
    labels = (models / "fashion-mlp" / "labels.txt").read_text().splitlines()

    response = infer(client, pixels_input(PIXELS), [output(PROBABILITIES, binary_data=binary, class_count=3)])

    rows = result(response).as_numpy(PROBABILITIES)
    texts = [[text.decode() if binary else text for text in row] for row in rows]
    best = np.argsort(-expected.probabilities, axis=1)[:, :3]
    values = np.take_along_axis(expected.probabilities, best, axis=1)
    assert result(response).get_output(PROBABILITIES)["datatype"] == "BYTES"
    assert texts == [
        [f"{value:f}:{index}:{labels[index]}" for value, index in zip(*row, strict=True)]
        for row in zip(values, best, strict=True)
    ]


def test_more_labels_than_there_are_are_all(client):
    response = infer(client, pixels_input(PIXELS), [output(PROBABILITIES, class_count=2**31)])

    assert result(response).as_numpy(PROBABILITIES).shape == (3, 10)


def test_no_labels_are_numbers(client):
    tensor = {"name": "image", "shape": [1, 28, 28, 1], "datatype": "UINT8", "data": [0] * 784}
    wanted = {"name": PROBABILITIES, "parameters": {"classification": 0}}

    answer = client.post("/v2/models/fashion-mlp/infer", json={"inputs": [tensor], "outputs": [wanted]}).json

    assert answer["outputs"][0]["datatype"] == "FP32"


def test_an_output_without_labels_is_classified_by_index_alone(client, expected):
    response = infer(client, pixels_input(PIXELS), [output(NOVELTY, class_count=5)])

    assert result(response).as_numpy(NOVELTY).tolist() == [[f"{value:f}:0".encode()] for value in expected.novelty]


@pytest.mark.parametrize("shape", [[2], [2, 1]])
def test_files_are_decoded_and_fitted_as_classify_does(client, image, shape):
    response = infer(client, files_input(image("bag"), image("trouser"), shape=shape))

    probabilities = result(response).as_numpy(PROBABILITIES)
    classified = client.post("/classify?top_k=1&model=fashion-mlp", data=image("bag"), content_type="image/png").json
    assert probabilities.argmax(1).tolist() == [8, 1]
    assert probabilities[0].max() == pytest.approx(classified["predictions"][0]["probability"], abs=2e-6)


@pytest.mark.parametrize("shape", [[2], [2, 1]])
def test_files_may_be_base64_in_json(client, image, shape):
    texts = [b64encode(image("bag")).decode(), "data:image/png;base64," + b64encode(image("trouser")).decode()]
    data = np.array(texts).reshape(shape).tolist()
    tensor = {"name": "image", "shape": shape, "datatype": "BYTES", "data": data}

    answer = client.post("/v2/models/fashion-mlp/infer", json={"inputs": [tensor]}).json

    assert np.array(answer["outputs"][0]["data"]).reshape(2, 10).argmax(1).tolist() == [8, 1]


def test_a_bad_file_is_named_by_its_place(client, image):
    response = infer(client, files_input(image("bag"), b"hello"))

    assert response.status_code == 422
    assert response.json["error"].startswith("Image 2 of 2: The 5 bytes are not a complete image")


def test_a_body_without_json_is_one_image_and_answered_in_bytes(client, expected):
    headers = {"Inference-Header-Content-Length": "0"}

    answer = client.post("/v2/models/fashion-mlp/infer", data=PIXELS[0].tobytes(), headers=headers)

    assert np.abs(result(answer).as_numpy(PROBABILITIES) - expected.probabilities[:1]).max() < 1e-6
    assert result(answer).as_numpy(NOVELTY).shape == (1, 1)


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("asked", [None, "gzip", "deflate"])
@pytest.mark.parametrize("answered", [None, "gzip", "deflate"])
def test_bodies_may_be_compressed_either_way(client, expected, binary, asked, answered):
    headers = {"Accept-Encoding": answered} if answered else {}

    response = infer(client, pixels_input(PIXELS, binary), packed=asked, headers=headers)

    assert response.headers.get("Content-Encoding") == answered
    assert np.abs(result(response).as_numpy(PROBABILITIES) - expected.probabilities).max() < 1e-6


def test_the_headers_of_an_answer_are_those_of_classify(client, image):
    classified = client.post("/classify?model=fashion-mlp", data=image("bag"), content_type="image/png")

    answer = infer(client, files_input(image("bag")))

    assert answer.headers["Thimble-Model"] == classified.headers["Thimble-Model"]
    stages = dict(part.split(";dur=") for part in answer.headers["Server-Timing"].split(", "))
    assert list(stages) == ["decode", "fit", "infer"]
    assert all(float(duration) > 0 for duration in stages.values())


def test_a_model_without_novelty_has_one_output(forge, folder):
    forge("plain/1", edit=without_novelty)
    client = create_app(Settings(models=str(folder))).test_client()

    answer = result(infer(client, pixels_input(PIXELS), model="plain")).get_response()

    assert [output["name"] for output in answer["outputs"]] == [PROBABILITIES]
    assert len(client.get("/v2/models/plain").json["outputs"]) == 1
    assert len(client.get("/v2/models/plain/config").json["output"]) == 1


def test_a_request_beyond_the_images_in_flight_is_refused_with_a_retry_after(models, while_waiting):
    client = create_app(Settings(models=str(models), workers=1, max_in_flight=2)).test_client()
    meanwhile = []

    while_waiting(lambda: meanwhile.append(infer(client, pixels_input(PIXELS))))
    first = infer(client, pixels_input(PIXELS))

    (second,) = meanwhile
    assert first.status_code == 200
    assert second.status_code == 503
    assert second.headers["Retry-After"] == "1"
    assert "images are in flight" in second.json["error"]
