"""JSON of millions of values, which compresses to almost nothing: refused before it becomes objects."""

import tracemalloc
from base64 import b64encode

import pytest

from serving.app import create_app
from serving.settings import Settings

MAX_SHARE = 2.5  # of a body's bytes that may be taken beside it: room for two copies, and not for an object a value
INFER, INDEX = "/v2/models/fashion-mlp/infer", "/v2/repository/index"
LOAD, UNLOAD = (f"/v2/repository/models/fashion-mlp/{change}" for change in ("load", "unload"))


def many(value):
    return b",".join([value] * 300_000)


def members():
    return b",".join(b'"k%d":1' % number for number in range(300_000))


def request(shape=b"[1]", data=b'["a"]', inputs=b"", more=b""):
    tensor = b'{"name":"image","shape":%s,"datatype":"BYTES","data":%s}' % (shape, data)
    return b'{"inputs":[%s%s]%s}' % (tensor, inputs, more)


BODIES = {
    "outputs": (INFER, request(more=b',"outputs":[%s]' % many(b'{"name":"novelty"}')), 400),
    "shape": (INFER, request(shape=b"[%s]" % many(b"1")), 400),
    "inputs": (INFER, request(inputs=b"," + many(b'{"name":"","shape":[],"datatype":""}')), 400),
    "files": (INFER, request(data=b"[%s]" % many(b'""')), 400),
    "files in lists": (INFER, request(data=b"[%s]" % many(b"[]")), 400),
    "images": ("/classify", b'{"images":[%s]}' % many(b'""'), 413),
    "images twice": ("/classify", b'{"images":["a"],"images":[%s]}' % many(b'""'), 413),
    "images to explain": ("/explain", b'{"images":[%s]}' % many(b'""'), 413),
    "index": (INDEX, b'{"ready":true,"more":{%s}}' % members(), 413),
    "load": (LOAD, b'{"parameters":{%s}}' % members(), 413),
    "unload": (UNLOAD, b'{"parameters":{%s}}' % members(), 413),
}


def post(client, path, body):
    """Send JSON and return the response and the most memory that Python took for it."""
    tracemalloc.start()
    try:
        return client.post(path, data=body, content_type="application/json"), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("what", BODIES)
def test_a_list_of_a_million_values_is_refused_before_it_becomes_objects(models, what):
    client = create_app(Settings(models=str(models), allow_loading=True)).test_client()
    path, body, status = BODIES[what]
    client.post(path, data=body[:1_000], content_type="application/json")  # what is made once is made now

    response, memory = post(client, path, body)

    assert response.status_code == status
    assert memory < MAX_SHARE * len(body)


@pytest.mark.parametrize("path", [LOAD, UNLOAD])
def test_loading_that_is_not_allowed_is_refused_whatever_the_body(client, path):
    response = client.post(path, data=b'{"parameters":')

    assert response.status_code == 403


def test_the_limit_of_a_call_without_files_says_so(models):
    client = create_app(Settings(models=str(models), allow_loading=True)).test_client()

    response = client.post(LOAD, data=b" " * 300_000)

    assert (response.status_code, response.json) == (
        413, {"error": "The body has more than 262,144 bytes; this call takes no files."}
    )  # fmt: skip


def test_as_many_images_as_the_limit_may_be_data_urls_with_quotes(client, image):
    url = 'data:image/png;name="a.png";base64,' + b64encode(image("bag")).decode()

    response = client.post("/classify", json={"images": [url] * 256})

    assert response.status_code == 200


TENSOR = {"name": "image", "shape": [1, 28, 28, 1], "datatype": "UINT8", "data": [0] * 784}
NULLS = [
    {"id": None},
    {"parameters": None},
    {"outputs": None},
    {"inputs": [TENSOR | {"parameters": None}]},
    {"outputs": [{"name": "probabilities", "parameters": None}, {"name": "novelty"}]},
]


@pytest.mark.parametrize("members", NULLS)
def test_an_optional_member_may_be_null_as_if_it_were_absent(client, members):
    expected, response = (client.post(INFER, json={"inputs": [TENSOR]} | more) for more in ({}, members))

    assert (response.status_code, response.json) == (200, expected.json)


def test_the_parameters_of_a_load_may_be_null(models):
    client = create_app(Settings(models=str(models), allow_loading=True)).test_client()

    assert client.post(LOAD, json={"parameters": None}).status_code == 200
