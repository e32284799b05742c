"""A running service and NVIDIA's own client, unmodified."""

import http.client
import json
import re
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import requests
from polling import wait_until
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.utils import InferenceServerException
from unmeasured import unmeasured

from serving.model.classifier import Classifier

ROOT = Path(__file__).parents[2]
CODINGS = [None, "gzip", "deflate"]
PIXELS = np.random.default_rng(7).integers(0, 256, (5, 32, 32, 3), np.uint8)


@pytest.fixture(scope="module")
def triton(server):
    with closing(InferenceServerClient(f"127.0.0.1:{server.port}", network_timeout=20)) as client:
        yield client


@pytest.fixture(scope="module")
def expected(models):
    return Classifier.open(models / "cifar-cnn" / "2" / "model.onnx").run(PIXELS)


def pixels_input(binary=True):
    return InferInput("image", list(PIXELS.shape), "UINT8").set_data_from_numpy(PIXELS, binary_data=binary)


def files_input(*files):
    return InferInput("image", [len(files)], "BYTES").set_data_from_numpy(np.array(files, np.object_))


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("asked", CODINGS)
@pytest.mark.parametrize("answered", CODINGS)
def test_tensors_are_sent_and_answered_in_every_form(triton, expected, binary, asked, answered):
    outputs = [InferRequestedOutput(name, binary_data=binary) for name in ("probabilities", "novelty")]
    coding = {"request_compression_algorithm": asked, "response_compression_algorithm": answered}

    answer = triton.infer("cifar-cnn", [pixels_input(binary)], outputs=outputs, **coding)

    assert np.abs(answer.as_numpy("probabilities") - expected.probabilities).max() < 1e-6
    assert np.abs(answer.as_numpy("novelty")[:, 0] - expected.novelty).max() < 1e-6


def test_without_requested_outputs_all_are_sent(triton, expected):
    answer = triton.infer("cifar-cnn", [pixels_input()], model_version="2", request_id="five")

    assert answer.get_response()["id"] == "five"
    assert np.abs(answer.as_numpy("probabilities") - expected.probabilities).max() < 1e-6
    assert answer.as_numpy("novelty").shape == (5, 1)


def test_files_become_labels(triton, image):
    labels = InferRequestedOutput("probabilities", class_count=2)

    answer = triton.infer("fashion-mlp", [files_input(image("bag"), image("trouser"))], outputs=[labels])

    best = [row[0].decode().split(":")[2] for row in answer.as_numpy("probabilities")]
    assert best == ["Bag", "Trouser"]


def test_requests_may_be_sent_concurrently(triton, expected):
    answers = [triton.async_infer("cifar-cnn", [pixels_input()]) for _ in range(8)]

    for answer in answers:
        assert np.abs(answer.get_result().as_numpy("probabilities") - expected.probabilities).max() < 1e-6


ASYNCIO = """
import asyncio, json, sys
import numpy as np
from tritonclient.http import InferInput, aio

async def ask(address, pixels):
    async with aio.InferenceServerClient(address) as client:
        wanted = InferInput("image", list(pixels.shape), "UINT8")
        wanted.set_data_from_numpy(pixels)
        metadata = await client.get_model_metadata("cifar-cnn")
        answer = await client.infer("cifar-cnn", [wanted])
        return {"name": metadata["name"], "probabilities": answer.as_numpy("probabilities").tolist()}

print(json.dumps(asyncio.run(ask(sys.argv[1], np.load(sys.argv[2])))))
"""


def test_the_asyncio_client_is_answered(server, expected, tmp_path):
    np.save(tmp_path / "pixels.npy", PIXELS)
    # In a process of its own: in this one the browser of other tests has its event loop.
    command = [sys.executable, "-c", ASYNCIO, f"127.0.0.1:{server.port}", str(tmp_path / "pixels.npy")]

    answer = json.loads(subprocess.run(command, env=unmeasured(), check=True, capture_output=True, timeout=60).stdout)

    assert answer["name"] == "cifar-cnn"
    assert np.abs(answer["probabilities"] - expected.probabilities).max() < 1e-6


def test_the_client_finds_the_service_and_its_models(triton):
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("cifar-cnn", "2")
    assert not triton.is_model_ready("nothing")
    assert "binary_tensor_data" in triton.get_server_metadata()["extensions"]
    assert triton.get_model_metadata("cifar-cnn", "2")["inputs"][0]["shape"] == [-1, 32, 32, 3]
    assert triton.get_model_config("cifar-cnn")["input"][0]["format"] == "FORMAT_NHWC"
    assert [(entry["name"], entry["state"]) for entry in triton.get_model_repository_index()] == [
        ("cifar-cnn", "READY"),
        ("fashion-mlp", "READY"),
    ]


@pytest.mark.parametrize(
    ("call", "status", "words"),
    [
        (lambda client: client.get_model_metadata("nothing"), "404", "There is no model 'nothing'"),
        (lambda client: client.infer("cifar-cnn", [files_input(b"hello")]), "422", "not a complete image"),
        (lambda client: client.load_model("cifar-cnn"), "403", "THIMBLE_ALLOW_LOADING=true"),
        (lambda client: client.unload_model("cifar-cnn"), "403", "THIMBLE_ALLOW_LOADING=true"),
        (lambda client: client.get_log_settings(), "404", "No such path"),
    ],
)
def test_the_client_understands_refusals(triton, call, status, words):
    with pytest.raises(InferenceServerException, match=words) as refused:
        call(triton)

    assert refused.value.status() == f"{status}"


def counts(client):
    """Return the images that a model answered, and the runs of its graph."""
    (found,) = client.get_inference_statistics("fashion-mlp")["model_stats"]
    return found["inference_count"], found["execution_count"]


@pytest.mark.trains
def test_statistics_are_those_of_all_workers(start, image):
    server = start(workers="2")
    for _ in range(30):  # each on a connection of its own, so that both workers answer
        requests.post(f"{server.url}/classify", image("bag"), headers={"Content-Type": "image/png"}, timeout=20)
    with closing(InferenceServerClient(f"127.0.0.1:{server.port}")) as client:
        for _ in range(10):
            client.infer("fashion-mlp", [files_input(image("bag"), image("trouser"))])
        wait_until(lambda: counts(client) == (50, 40), told=lambda: str(counts(client)))  # each counts once a second

    lines = requests.get(f"{server.url}/metrics", timeout=20).text.splitlines()
    assert 'nv_inference_count{model="fashion-mlp",version="2"} 50.0' in lines


@pytest.mark.trains
def test_an_operator_may_unload_a_model_in_all_workers_and_load_it_again(start):
    server = start(workers="2", allow_loading="true")

    def ready():
        """Return the answers of clients on connections of their own, so that both workers answer."""
        found = set()
        for _ in range(20):
            with closing(InferenceServerClient(f"127.0.0.1:{server.port}")) as client:
                found.add(client.is_model_ready("fashion-mlp"))
        return found

    with closing(InferenceServerClient(f"127.0.0.1:{server.port}")) as client:
        client.unload_model("fashion-mlp")
        unloaded, index = ready(), client.get_model_repository_index()
        client.load_model("fashion-mlp")

    assert unloaded == {False}
    assert index[1] == {"name": "fashion-mlp", "version": "2", "state": "UNAVAILABLE", "reason": "unloaded"}
    assert ready() == {True}


def test_a_late_body_is_refused_in_the_form_of_the_protocol(strict_server):
    with socket.create_connection(("127.0.0.1", strict_server.port), timeout=20) as connection:
        connection.sendall(b"POST /v2/models/cifar-cnn/infer HTTP/1.1\r\nHost: t\r\nContent-Length: 5000\r\n\r\n{")
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        error = json.loads(answer.read())

    assert answer.status == 408
    assert error == {"error": "The body did not arrive within 0.5 s; send a smaller image."}


def test_a_small_body_that_decompresses_beyond_the_limit_is_refused(strict_server):
    pixels = np.zeros((60, 32, 32, 3), np.uint8)
    tensor = InferInput("image", list(pixels.shape), "UINT8").set_data_from_numpy(pixels)

    with closing(InferenceServerClient(f"127.0.0.1:{strict_server.port}")) as client:
        with pytest.raises(InferenceServerException, match="more than 100,000 bytes") as refused:
            client.infer("cifar-cnn", [tensor], request_compression_algorithm="gzip")

        assert refused.value.status() == "413"
        assert client.is_server_live()


@pytest.mark.trains
def test_the_example_in_the_document_prints_the_output_in_the_document(strong_server):
    document = (ROOT / "docs" / "v2.md").read_text()
    program, printed = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", document, re.DOTALL).groups()

    ran = subprocess.run(
        [sys.executable, "-c", program.replace("127.0.0.1:8000", f"127.0.0.1:{strong_server.port}")],
        cwd=ROOT, env=unmeasured(), capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip

    assert roughly(ran.stdout) == roughly(printed)


def roughly(text):
    """Return a text with its fractions to four digits: another processor adds up in another order."""
    return re.sub(r"0\.\d+", lambda digits: f"{float(digits[0]):.4f}", text)
