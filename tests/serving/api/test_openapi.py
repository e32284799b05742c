"""The OpenAPI document and the service agree."""

import base64
import copy
import json
import re
import subprocess
import sys
from collections.abc import Iterator

import msgspec
import numpy as np
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from pictures import png
from referencing import Registry
from referencing.jsonschema import DRAFT202012
from v2_client import files_input, infer, output, pixels_input

from serving import errors
from serving.api import openapi
from serving.app import create_app
from serving.settings import Settings

KIND = {"content_type": "image/png"}
INFER = "/v2/models/{name}/infer"
PIXELS = np.zeros((2, 28, 28, 1), np.uint8)


def enormous():
    """Return a small file of an image with more pixels than the limit."""
    return png(20_000, 20_000, 8, 0, b"")  # the header alone


@pytest.fixture(scope="module")
def interface(client):
    return client.get("/openapi.json").json


def operations(interface):
    """Yield each operation of the document, with its method and path."""
    for path, calls in interface["paths"].items():
        for method, operation in calls.items():
            yield method.upper(), path, operation


def test_the_document_is_valid_openapi(interface):
    validate(interface)

    assert interface["openapi"].startswith("3.1.")


@pytest.mark.trains  # python compiles all modules anew
def test_it_is_made_without_docstrings_too():
    program = "from serving.api.openapi import *; print(len(document(Settings())['components']['schemas']))"
    made = subprocess.run([sys.executable, "-OO", "-c", program], capture_output=True, text=True)

    assert (made.stderr, int(made.stdout or 0) > 10) == ("", True)


def test_the_document_has_exactly_the_routes(interface, models):
    app = create_app(Settings(models=str(models)))

    routes = {
        (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }

    assert {(method, path) for method, path, _ in operations(interface)} == routes


def test_each_refusal_is_in_the_document(interface):
    documented = {
        (response["content"]["application/problem+json"]["schema"]["properties"]["status"]["const"], code)
        for code, response in interface["components"]["responses"].items()
    }

    assert documented == {(kind.status, kind.code) for kind in openapi.subclasses(errors.Refusal)}
    codes = interface["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]
    assert sorted(codes) == sorted(code for _, code in documented)


def test_a_temporary_refusal_is_documented_with_retry_after(interface):
    later = {
        code
        for code, response in interface["components"]["responses"].items()
        if "Retry-After" in response.get("headers", {})
    }

    assert later == {kind.code for kind in openapi.subclasses(errors.Refusal) if kind("").retry_after}


def test_the_quota_is_documented_where_images_are_counted(interface):
    told = {
        (path, status)
        for _, path, operation in operations(interface)
        for status, response in operation["responses"].items()
        if {"RateLimit", "RateLimit-Policy"} <= {*response["headers"]}
    }

    calls = ("/classify", "/explain", "/v2/models/{name}/infer", "/v2/models/{name}/versions/{version}/infer")
    assert told == {(path, status) for path in calls for status in ("200", "429")}


def test_each_call_has_its_refusals_in_the_form_of_its_protocol(interface):
    for _, path, call in operations(interface):
        refusals = {status: told for status, told in call["responses"].items() if status >= "400"}
        (kind,) = {kind for told in refusals.values() for kind in told["content"]}

        assert "500" in refusals
        assert kind == ("application/json" if path.startswith("/v2") else "application/problem+json")


def test_a_service_that_is_not_installed_has_the_document(models, monkeypatch):
    monkeypatch.setattr("serving.version.NAME", "thimble-elsewhere")

    interface = create_app(Settings(models=str(models))).test_client().get("/openapi.json").json

    assert interface["info"]["version"] == "unknown"


@pytest.mark.parametrize("struct", openapi.STRUCTS, ids=lambda struct: struct.__name__)
def test_the_files_describe_existing_fields_only(interface, struct):
    documented = interface["components"]["schemas"][struct.__name__]["properties"]

    assert documented.keys() == {field.encode_name for field in msgspec.structs.fields(struct)}


def test_each_field_and_each_parameter_has_a_description(interface):
    silent = [
        f"{name}.{field}"
        for name, schema in interface["components"]["schemas"].items()
        for field, told in schema.get("properties", {}).items()
        if not told.get("description")
    ]
    inline = [parameter for _, _, call in operations(interface) for parameter in call.get("parameters", [])]
    parameters = [*interface["components"]["parameters"].values(), *(p for p in inline if "$ref" not in p)]

    assert silent == []
    assert all(parameter["description"] for parameter in parameters)


def test_the_limits_are_those_of_the_service(models):
    settings = Settings(models=str(models), max_images=7, max_body=5_000, max_pixels=900, body_seconds=3)

    interface = create_app(settings).test_client().get("/openapi.json").json

    assert interface["info"]["x-limits"] == {
        "max_images": 7, "max_body": 5_000, "max_pixels": 900, "body_seconds": 3,
    }  # fmt: skip
    assert interface["components"]["schemas"]["ImageBody"]["properties"]["images"]["maxItems"] == 7


def test_a_fact_in_two_files_is_refused():
    with pytest.raises(ValueError, match="'one' and 'two' are two values of the same key"):
        openapi.merge({"info": {"title": "one"}, "tags": []}, {"info": {"title": "two"}})


def parts(node: object) -> Iterator[dict[str, object]]:
    """Yield each object of the document, at any depth."""
    if isinstance(node, dict):
        yield node
    for value in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from parts(value)


def test_no_list_of_values_has_one_twice(interface):
    enums = [part["enum"] for part in parts(interface) if isinstance(part.get("enum"), list)]

    assert [listed for listed in enums if len(listed) != len(set(map(str, listed)))] == []


def test_each_array_has_the_schema_of_its_items_as_generators_of_clients_demand(interface):
    arrays = [part for part in parts(interface) if part.get("type") in ("array", ["array", "null"])]

    assert arrays
    assert [part for part in arrays if not {"items", "prefixItems"} & {*part}] == []


def test_patterns_are_json_schemas_not_pythons(interface):
    patterns = re.findall(r'"pattern": ("(?:[^"\\]|\\.)*")', json.dumps(interface))

    assert patterns
    assert all(json.loads(pattern).endswith("$") for pattern in patterns)


def strict(node):
    """Return the document with all objects closed: other fields than the named ones are errors."""
    if isinstance(node, list):
        return [strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    closed = {"additionalProperties": False} if node.get("type") == "object" and "properties" in node else {}
    return {key: strict(value) for key, value in node.items()} | closed


@pytest.fixture(scope="module")
def check(interface):
    """Return an assertion that a response is one of those that the document has for this call."""
    resource = DRAFT202012.create_resource(strict(copy.deepcopy(interface)))
    registry = Registry().with_resource("urn:interface", resource)

    def assert_documented(response, method, path):
        documented = interface["paths"][path][method.lower()]["responses"][str(response.status_code)]
        assert response.mimetype in documented["content"]
        for name in documented.get("headers", {}):
            assert name in response.headers or not interface["components"]["headers"][name].get("required")
        if response.is_json:
            keys = ["paths", path, method.lower(), "responses", str(response.status_code), "content", response.mimetype]
            pointer = "/".join(key.replace("~", "~0").replace("/", "~1") for key in keys)
            schema = {"$ref": f"urn:interface#/{pointer}/schema"}
            Draft202012Validator(schema, registry=registry).validate(response.json)

    return assert_documented


@pytest.mark.parametrize(
    ("method", "path"), [("GET", path) for path in ("/models", "/livez", "/readyz", "/metrics", "/", "/docs")]
)
def test_an_answer_is_as_documented(client, check, method, path):
    response = client.open(path, method=method)

    assert response.status_code == 200
    check(response, method, path)


@pytest.mark.parametrize(("name", "status"), [("fashion-mlp", 200), ("nothing", 404)])
def test_the_answer_about_a_model_is_as_documented(client, check, name, status):
    response = client.get(f"/models/{name}")

    assert response.status_code == status
    check(response, "GET", "/models/{name}")


@pytest.mark.parametrize("name", ["thimble.css", "page.js", "icon.svg", "ship.png", "nothing.js"])
def test_a_file_is_as_documented(client, check, name):
    with client.get(f"/static/{name}") as response:
        check(response, "GET", "/static/{filename}")


@pytest.mark.parametrize("query", ["", "?seen=true&top_k=3", "?model=cifar-cnn:2&coverage=0.8"])
def test_predictions_are_as_documented(client, check, image, query):
    response = client.post(f"/classify{query}", data=image("bag"), **KIND)

    assert response.status_code == 200
    check(response, "POST", "/classify")


def test_predictions_beside_errors_are_as_documented(client, check, image):
    images = [base64.b64encode(content).decode() for content in (image("bag"), b"hello", enormous())]

    response = client.post("/classify", json={"images": images})

    assert [next(iter(item)) for item in response.json["predictions"]] == ["model", "error", "error"]
    check(response, "POST", "/classify")


def test_an_explanation_is_as_documented(client, check, image):
    response = client.post("/explain?label=Bag", data=image("pullover"), **KIND)

    assert response.status_code == 200
    check(response, "POST", "/explain")


@pytest.mark.parametrize("path", ["/classify", "/explain"])
@pytest.mark.parametrize(
    ("query", "kind", "status"),
    [
        ("?top_k=0", "image/png", 400),
        ("?model=nothing", "image/png", 404),
        ("", "text/plain", 415),
        ("", "image/png", 422),
    ],
)
def test_a_refusal_is_as_documented(client, check, path, query, kind, status):
    response = client.post(f"{path}{query}", data=b"hello", content_type=kind)

    assert response.status_code == status
    check(response, "POST", path)


@pytest.mark.parametrize("path", ["/classify", "/explain"])
def test_an_image_with_too_many_pixels_is_refused_as_documented(client, check, path):
    response = client.post(path, data=enormous(), **KIND)

    assert response.json["code"] == "too-many-pixels"
    check(response, "POST", path)


def test_a_body_that_is_too_large_is_refused_as_documented(models, check):
    small = create_app(Settings(models=str(models), max_body=4)).test_client()

    response = small.post("/classify", data=b"hello", **KIND)

    assert response.status_code == 413
    check(response, "POST", "/classify")


def test_a_service_without_models_refuses_as_documented(folder, check, image):
    empty = create_app(Settings(models=str(folder))).test_client()

    check(empty.get("/readyz"), "GET", "/readyz")
    check(empty.post("/classify", data=image("bag"), **KIND), "POST", "/classify")
    check(empty.get("/models"), "GET", "/models")


def test_a_model_that_cannot_be_served_is_listed_as_documented(folder, check):
    (folder / "empty").mkdir()
    broken = create_app(Settings(models=str(folder))).test_client()

    response = broken.get("/models/empty")

    assert response.json["state"] == "unavailable"
    check(response, "GET", "/models/{name}")


@pytest.mark.parametrize(
    "path",
    [
        *("", "/health/live", "/health/ready", "/models/stats"),
        *(f"/models/{{name}}{call}" for call in ("", "/ready", "/config", "/stats")),
        *(f"/models/{{name}}/versions/{{version}}{call}" for call in ("", "/ready", "/config", "/stats")),
    ],
)
def test_a_v2_answer_is_as_documented(client, check, image, path):
    infer(client, files_input(image("bag")))  # so that there are statistics
    addressed = f"/v2{path}".replace("{version}", "2")

    found, missing = (client.get(addressed.replace("{name}", name)) for name in ("fashion-mlp", "nothing"))

    assert (found.status_code, missing.status_code) == (200, 404 if "{name}" in path else 200)
    check(found, "GET", f"/v2{path}")
    check(missing, "GET", f"/v2{path}")


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("classes", [0, 3])
def test_outputs_are_as_documented(client, check, binary, classes):
    outputs = [output(name, binary_data=binary, class_count=classes) for name in ("probabilities", "novelty")]

    response = infer(client, pixels_input(PIXELS, binary), outputs, request_id="five")

    assert response.status_code == 200
    assert ("Inference-Header-Content-Length" in response.headers) is binary
    check(response, "POST", INFER)


@pytest.mark.parametrize(
    ("model", "content", "headers", "status"),
    [
        ("fashion-mlp", b"hello", {}, 422),
        ("fashion-mlp", enormous(), {}, 422),
        ("fashion-mlp", b"hello", {"Inference-Header-Content-Length": "no"}, 400),
        ("fashion-mlp", b"hello", {"Content-Encoding": "br"}, 415),
        ("nothing", b"hello", {}, 404),
        ("fashion-mlp/versions/7", b"hello", {}, 404),
    ],
)
def test_an_inference_is_refused_as_documented(client, check, model, content, headers, status):
    response = infer(client, files_input(content), model=model, headers=headers)

    assert response.status_code == status
    check(response, "POST", "/v2/models/{name}/versions/{version}/infer" if "/" in model else INFER)


def test_an_inference_that_is_too_large_is_refused_as_documented(models, check):
    small = create_app(Settings(models=str(models), max_images=1)).test_client()

    response = infer(small, pixels_input(PIXELS))

    assert response.status_code == 413
    check(response, "POST", INFER)


def test_a_service_without_a_sound_model_refuses_v2_calls_as_documented(folder, check):
    (folder / "empty").mkdir()
    broken = create_app(Settings(models=str(folder))).test_client()

    unready = [broken.get(path) for path in ("/v2/health/ready", "/v2/models/empty/ready")]

    assert [response.status_code for response in unready] == [503, 503]
    check(unready[0], "GET", "/v2/health/ready")
    check(unready[1], "GET", "/v2/models/{name}/ready")
    check(broken.post("/v2/repository/index"), "POST", "/v2/repository/index")
    check(infer(broken, pixels_input(PIXELS), model="empty"), "POST", INFER)


@pytest.mark.parametrize("change", ["load", "unload"])
@pytest.mark.parametrize(
    ("allowed", "body", "status"), [(False, {}, 403), (True, [], 400), (True, ["x" * 300_000], 413)]
)
def test_a_change_of_models_is_refused_as_documented(models, check, change, allowed, body, status):
    client = create_app(Settings(models=str(models), allow_loading=allowed)).test_client()

    response = client.post(f"/v2/repository/models/fashion-mlp/{change}", json=body)

    assert response.status_code == status
    check(response, "POST", f"/v2/repository/models/{{name}}/{change}")


def test_the_examples_in_the_document_match_their_schemas(interface):
    registry = Registry().with_resource("urn:interface", DRAFT202012.create_resource(strict(interface)))
    bodies = [call.get("requestBody", {}) for _, _, call in operations(interface)]
    answers = [call["responses"]["200"] for _, _, call in operations(interface)]
    examples = [media for part in bodies + answers for media in part.get("content", {}).values() if "example" in media]

    assert len(examples) > 2
    for media in examples:
        schema = {"$ref": f"urn:interface{media['schema']['$ref']}"}
        Draft202012Validator(schema, registry=registry).validate(media["example"])


def test_the_example_of_an_inference_is_answered(client, interface):
    body = interface["paths"][INFER]["post"]["requestBody"]["content"]["application/json"]["example"]

    assert client.post("/v2/models/fashion-mlp/infer", json=body).status_code == 200
