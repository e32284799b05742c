"""Wrong inference requests, by mistake or on purpose: each is refused with the fault."""

import json
import re
import zlib

import numpy as np
import pytest
from pictures import noise, saved
from v2_client import files_input, infer, output, pixels_input

from serving.app import create_app
from serving.settings import Settings

GOOD = {"name": "image", "shape": [1, 28, 28, 1], "datatype": "UINT8", "data": [0] * 784}
INFER = "/v2/models/fashion-mlp/infer"


@pytest.fixture(scope="module")
def strict(models):
    """Return a client of a service with small limits."""
    settings = Settings(models=str(models), max_body=20_000, max_images=3, max_pixels=5_000)
    return create_app(settings).test_client()


def refused(client, request, status=400):
    """Send a request in JSON and return the message of its refusal."""
    response = client.post(INFER, data=request if isinstance(request, bytes) else json.dumps(request))
    assert response.status_code == status
    assert list(response.json) == ["error"]
    return response.json["error"]


def with_tensor(**changes):
    """Return a request whose one input differs from a good one; None leaves a field out."""
    tensor = {key: value for key, value in (GOOD | changes).items() if value is not None}
    return {"inputs": [tensor]}


def deep(levels):
    return b"[" * levels + b"]" * levels


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"null",
        b"hello",
        b'{"inputs": 5}',
        b'{"inputs": [{}]}',
        b'{"inputs": [null]}',
        b'\xff{"inputs": []}',
        b'{"inputs": [], "id": "\xff"}',
        b'{"inputs": []} more',
        b'{"inputs": [], "parameters": ' + deep(100_000) + b"}",
        b'{"inputs": [], "unknown": ' + deep(100_000) + b"}",
        b'{"inputs": [], "id": 5}',
        b'{"inputs": [], "parameters": {"binary_data_output": 1}}',
        b'{"inputs": [], "outputs": [{"name": "novelty", "parameters": {"binary_data": "yes"}}]}',
        b'{"inputs": [], "outputs": [{"name": "novelty", "parameters": {"classification": -1}}]}',
        b'{"inputs": [], "outputs": [{"name": "novelty", "parameters": {"classification": true}}]}',
        b'{"inputs": [], "outputs": [{"name": "novelty", "parameters": {"classification": 1.5}}]}',
        b'{"inputs": [], "outputs": [{"name": "novelty", "parameters": {"classification": %s}}]}' % (b"9" * 6_000),
    ],
)
def test_json_of_another_form_is_refused(client, body):
    assert refused(client, body).startswith("The JSON of the request is not valid: ")


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ({"inputs": 5}, "$.inputs"),
        (with_tensor(shape="1"), "$.inputs[0].shape"),
        (with_tensor(shape=[1, "28"]), "$.inputs[0].shape[1]"),
        (with_tensor(datatype="BYTES", shape=[1], data="aGVsbG8="), "$.inputs[0].data"),
        ({"inputs": [GOOD], "outputs": "novelty"}, "$.outputs"),
        ({"inputs": [GOOD], "id": 5}, "$.id"),
        ({"inputs": [GOOD], "id": "x" * 1_001}, "$.id"),  # every slow reader of it would hold as much memory
    ],
)
def test_json_of_another_form_is_refused_with_the_place(client, wrong, place):
    assert refused(client, wrong).endswith(f" - at `{place}`.")


@pytest.mark.parametrize(("count", "number"), [(0, "no"), (2, "more than one"), (9, "more than one")])
def test_a_model_has_one_input(client, count, number):
    assert refused(client, {"inputs": [GOOD] * count}) == f"The request has {number} input; the model has one: image."


@pytest.mark.parametrize("name", ["Image", "", "image ", "x" * 1_000, "\u2603"])
def test_an_unknown_input_is_refused_with_the_known_one(client, name):
    error = refused(client, with_tensor(name=name))

    assert error.endswith(". Inputs: image.")
    assert len(error) < 200


@pytest.mark.parametrize("name", ["logits", "", "Probabilities"])
def test_an_unknown_output_is_refused_with_the_known_ones(client, name):
    error = refused(client, {"inputs": [GOOD], "outputs": [{"name": name}]})

    assert error.endswith(". Outputs: probabilities, novelty.")


def test_an_output_is_requested_once(client):
    outputs = [{"name": "novelty"}] * 1_000

    assert refused(client, {"inputs": [GOOD], "outputs": outputs}) == (
        "An output is requested more than once; name each once."
    )


@pytest.mark.parametrize("datatype", ["FP32", "uint8", "INT64", "BOOL", "STRING", "", "x" * 1_000])
def test_another_datatype_is_refused_with_the_supported_ones(client, datatype):
    error = refused(client, with_tensor(datatype=datatype))

    assert "is UINT8, raw pixels, or BYTES, image files; not" in error
    assert len(error) < 200


@pytest.mark.parametrize(
    "shape",
    [[], [0], [1], [0, 28, 28, 1], [28, 28, 1], [1, 28, 28], [1, 28, 28, 3], [1, 784], [1, 1, 28, 28], [1] * 999],
)
def test_another_shape_is_refused_with_the_expected_one(client, shape):
    assert refused(client, with_tensor(shape=shape)).endswith(" as UINT8: [n, 28, 28, 1], with n of at least 1.")


@pytest.mark.parametrize("shape", [[], [0], [1, 28, 28, 1], [1, 2], [1, 1, 1]])
def test_files_have_a_shape_of_their_own(client, shape):
    error = refused(client, with_tensor(datatype="BYTES", shape=shape, data=["aGVsbG8="]))

    assert error.endswith(" as BYTES: [n], with n of at least 1.")


@pytest.mark.parametrize("size", ["-1", "true", "1.0", '"1"', "null", "9" * 30, "9" * 5_000, "1e400", "NaN", "[1]"])
def test_a_size_that_is_not_a_whole_number_is_refused(client, size):
    body = json.dumps(with_tensor(shape=["?", 28, 28, 1])).replace('"?"', size).encode()

    assert "is not valid" in refused(client, body)


@pytest.mark.parametrize("value", [-1, 256, 1.0, True, None, "0", "[", {"a": 1}, 10**30])
def test_a_pixel_that_is_not_a_whole_number_up_to_255_is_refused(client, value):
    assert "is not valid" in refused(client, with_tensor(data=[value] + [0] * 783))


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999", "0x10", "01"])
def test_a_pixel_that_is_not_a_number_in_json_is_refused(client, value):
    body = json.dumps(with_tensor(data=["?"] + [0] * 783)).replace('"?"', value).encode()

    assert "is not valid" in refused(client, body)


@pytest.mark.parametrize("data", [[0] * 783, [0] * 785, [], [[0]] * 783, [[0, 0]] * 784, "0", 0, None, {}])
def test_too_few_or_too_many_numbers_are_refused(client, data):
    body = json.dumps({"inputs": [GOOD | {"data": data}]}).encode()

    assert "the shape [1, 28, 28, 1] has 784" in refused(client, body)


def test_holes_in_lists_are_refused(client):
    assert "is not valid" in refused(client, with_tensor(data=[[], *[0] * 783]))


def test_deeply_nested_lists_are_refused(client):
    body = json.dumps(with_tensor(data=["?"])).encode().replace(b'["?"]', deep(100_000))

    assert "is not valid" in refused(client, body)


def test_an_input_without_data_is_refused(client):
    parameters = {"shared_memory_region": "x", "shared_memory_byte_size": 784}

    assert "neither 'data' nor" in refused(client, with_tensor(data=None, parameters=parameters))


SHARED = [
    {"shared_memory_region": "x", "shared_memory_byte_size": 40},
    {"shared_memory_region": "x", "shared_memory_byte_size": 40, "shared_memory_offset": 8, "classification": 1},
    {"shared_memory_byte_size": 40, "binary_data": True},
    {"shared_memory_offset": 0},
    {"shared_memory_region": ["x"]},
]


@pytest.mark.parametrize("parameters", SHARED)
def test_an_output_in_shared_memory_is_refused(client, parameters):
    outputs = [{"name": "novelty"}, {"name": "probabilities", "parameters": parameters}]

    error = refused(client, {"inputs": [GOOD], "outputs": outputs})

    assert re.match(r"The parameter 'shared_memory_\w+' of the output 'probabilities' is unsupported", error)


@pytest.mark.parametrize("parameters", SHARED)
def test_an_input_in_shared_memory_is_refused_beside_data_too(client, parameters):
    assert "of the input 'image' is unsupported" in refused(client, with_tensor(parameters=parameters))


def test_an_output_that_tritons_client_wants_in_shared_memory_is_refused(client):
    requested = output("probabilities")
    requested.set_shared_memory("region", 40)

    response = infer(client, pixels_input(np.zeros((1, 28, 28, 1), np.uint8)), [requested])

    assert response.status_code == 400
    assert "shared memory" in response.json["error"]


@pytest.mark.parametrize("parameters", [{"priority": 1}, {"timeout": 5}, {"sequence_id": 7}, {"own": "x"}])
def test_a_parameter_that_changes_no_answer_is_ignored(client, parameters):
    answers = [client.post(INFER, json={"inputs": [GOOD], **more}).json for more in ({}, {"parameters": parameters})]

    assert answers[0] == answers[1]


@pytest.mark.parametrize("size", [0, 783, 785, 2**40])
def test_binary_data_of_another_size_than_declared_is_refused(client, size):
    document = json.dumps(with_tensor(data=None, parameters={"binary_data_size": size})).encode()

    response = client.post(
        INFER, data=document + bytes(784), headers={"Inference-Header-Content-Length": str(len(document))}
    )

    assert response.status_code == 400
    assert (
        f"784 bytes follow the JSON, but the input's parameter 'binary_data_size' is {size}." in response.json["error"]
    )


@pytest.mark.parametrize("length", [783, 785, 0, 784 * 2])
def test_binary_data_that_does_not_fill_the_shape_is_refused(client, length):
    document = json.dumps(with_tensor(data=None, parameters={"binary_data_size": length})).encode()

    response = client.post(
        INFER, data=document + bytes(length), headers={"Inference-Header-Content-Length": str(len(document))}
    )

    assert response.status_code == 400
    assert f"The tensor has {length} bytes; its shape [1, 28, 28, 1] needs 784." in response.json["error"]


def test_binary_data_without_an_input_is_refused(client):
    document = json.dumps({"inputs": [GOOD]}).encode()

    response = client.post(INFER, data=document + b"x", headers={"Inference-Header-Content-Length": str(len(document))})

    assert response.status_code == 400
    assert "'binary_data_size' is not set" in response.json["error"]


@pytest.mark.parametrize("length", ["-1", "x", "1.5", "99999", "9" * 5_000, "\u0663", " ", "0x10"])
def test_an_invalid_length_of_the_json_is_refused(client, length):
    header = {"Inference-Header-Content-Length": length.encode().decode("latin-1")}

    response = client.post(INFER, data=json.dumps({"inputs": [GOOD]}), headers=header)

    assert response.status_code == 400
    assert "is not a number from 0 to" in response.json["error"]


def test_a_request_without_a_body_is_told_what_to_send(client):
    response = client.post(INFER)

    assert response.status_code == 400
    assert response.json["error"].startswith("The request has no body; send the tensor as JSON, or raw pixels")


@pytest.mark.parametrize("length", [0, 783, 785])
def test_a_body_without_json_has_the_size_of_one_image(client, length):
    response = client.post(INFER, data=bytes(length), headers={"Inference-Header-Content-Length": "0"})

    assert response.status_code == 400
    assert f"The tensor has {length} bytes" in response.json["error"]


@pytest.mark.parametrize(
    ("binary", "words"),
    [
        (b"", "Element 1 of 2 goes beyond the 0 bytes"),
        (b"\x01\x00", "Element 1 of 2 goes beyond the 2 bytes"),
        (b"\x01\x00\x00\x00a", "Element 2 of 2 goes beyond the 5 bytes"),
        (b"\xff\xff\xff\xffa", "Element 1 of 2 goes beyond the 5 bytes"),
        (b"\x01\x00\x00\x00a\x05\x00\x00\x00a", "Element 2 of 2 goes beyond the 10 bytes"),
        (b"\x01\x00\x00\x00a\x01\x00\x00\x00ab", "its 2 elements end after 10"),
    ],
)
def test_files_with_impossible_lengths_are_refused(client, binary, words):
    tensor = with_tensor(datatype="BYTES", shape=[2], data=None, parameters={"binary_data_size": len(binary)})
    document = json.dumps(tensor).encode()

    response = client.post(
        INFER, data=document + binary, headers={"Inference-Header-Content-Length": str(len(document))}
    )

    assert response.status_code == 400
    assert words in response.json["error"]


def test_an_empty_file_is_refused_as_classify_refuses_it(client):
    response = infer(client, files_input(b""))

    assert response.status_code == 400
    assert "The image is empty" in response.json["error"]


@pytest.mark.parametrize("data", [["aGVsbG8="], ["a"] * 3, []])
def test_files_in_json_are_as_many_as_the_shape_says(client, data):
    tensor = with_tensor(datatype="BYTES", shape=[2], data=data)

    assert refused(client, tensor) == f"'data' has {len(data)} texts; the shape has 2."


@pytest.mark.parametrize("data", [[5], "aGVsbG8=", [[["aGVsbG8="]]], [None]])
def test_files_in_json_are_texts(client, data):
    assert "is not valid" in refused(client, with_tensor(datatype="BYTES", shape=[1], data=data))


def test_urls_are_not_fetched(client):
    tensor = with_tensor(datatype="BYTES", shape=[1], data=["http://127.0.0.1/x.png"])

    assert "not fetched" in refused(client, tensor)


def test_more_images_than_the_limit_are_too_large(strict, image):
    pixels = np.zeros((4, 28, 28, 1), np.uint8)
    assert infer(strict, pixels_input(pixels[:3])).status_code == 200
    assert infer(strict, files_input(*[image("bag")] * 3)).status_code == 200

    for tensor in (pixels_input(pixels), files_input(*[b"x"] * 4)):
        response = infer(strict, tensor)

        assert response.status_code == 413
        assert "more than 3 images" in response.json["error"]


def test_a_file_of_too_many_pixels_is_refused(strict):
    response = infer(strict, files_input(saved(noise(80, 80), "PNG", compress_level=9)[:19_000]))

    assert response.status_code == 422
    assert "80 x 80 pixels" in response.json["error"]


def test_a_body_over_the_limit_is_too_large(strict):
    assert "more than 20,000 bytes" in refused(strict, b" " * 20_001, 413)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_the_limit_holds_for_a_body_once_it_is_decompressed(strict, coding):
    bomb = np.zeros((26, 28, 28, 1), np.uint8)  # 20,384 bytes, which become a few dozen

    response = infer(strict, pixels_input(bomb), packed=coding)

    assert response.status_code == 413
    assert "more than 20,000 bytes" in response.json["error"]


def packed(content):
    return zlib.compress(content)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"hello", "is not deflate, as its Content-Encoding says"),
        (b"", "ends early"),
        (packed(b"hello")[:-1], "ends early"),
        (packed(b"hello") + b"x", "has bytes after its end"),
        (packed(b"hello") * 2, "has bytes after its end"),
    ],
)
def test_a_damaged_compressed_body_is_refused(client, body, words):
    response = client.post(INFER, data=body, headers={"Content-Encoding": "deflate"})

    assert response.status_code == 400
    assert words in response.json["error"]


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "x" * 1_000])
def test_another_coding_is_refused_with_the_supported_ones(client, coding):
    response = client.post(INFER, data=b"x", headers={"Content-Encoding": coding})

    assert response.status_code == 415
    assert response.json["error"].endswith("is unsupported; send gzip, deflate, or the body uncompressed.")


def test_decompressed_bodies_stay_within_the_memory_budget(models, while_waiting):
    client = create_app(Settings(models=str(models), max_body=20_000)).test_client()
    pixels = np.zeros((20, 28, 28, 1), np.uint8)  # 15,680 bytes decompressed
    came, statuses = [], []

    def another():  # the next request arrives while one waits for its turn
        if len(came) < 20:
            came.append(1)
            statuses.append(infer(client, pixels_input(pixels), packed="gzip").status_code)

    while_waiting(another)
    first = infer(client, pixels_input(pixels), packed="gzip")

    assert first.status_code == 200
    assert sorted(set(statuses)) == [200, 503]
    assert infer(client, pixels_input(pixels), packed="gzip").status_code == 200
