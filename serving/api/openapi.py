"""Build the OpenAPI document from serving/openapi/*.json and from the code.

The files describe the calls and the meaning of things; types, limits and codes come from the code that defines them.
"""

from collections.abc import Callable, Iterable
from functools import reduce
from pathlib import Path
from typing import Any

import msgspec

from serving.access.authorization import scopes_for
from serving.api.explain import Explained
from serving.api.models import ModelListing
from serving.api.query import MAX_COVERAGE, MIN_COVERAGE
from serving.api.replies import JSON, PROBLEM
from serving.api.request_log import ID_HEADER
from serving.api.uploads import ImageBody
from serving.api.v2.metadata import BYTES, FP32, UINT8, ModelMetadata
from serving.api.v2.protocol import PATH, V2Error, is_v2
from serving.api.v2.replies import InferenceReply
from serving.api.v2.repository import READY, UNAVAILABLE, IndexEntry, IndexRequest, LoadRequest
from serving.api.v2.requests import InferenceRequest, RequestedOutput
from serving.api.v2.tensors import InputTensor, Size
from serving.errors import InternalError, NoModel, NotAllowed, Overloaded, Problem, RateLimited, Refusal, Unauthorised
from serving.inference.options import PredictOptions
from serving.model.card import INPUT, NOVELTY, PROBABILITIES
from serving.prediction import Prediction
from serving.settings import Settings
from serving.version import installed_version

FILES = Path(__file__).parent.parent / "openapi"
V2_REQUESTS = (InferenceRequest, InputTensor, RequestedOutput, IndexRequest, LoadRequest)
V2_STRUCTS = (*V2_REQUESTS, V2Error, ModelMetadata, InferenceReply, IndexEntry)
STRUCTS = (Prediction, Explained, ModelListing, ImageBody, Problem, *V2_STRUCTS)  # and the structs in them
REFUSALS = "refusals"  # in the files: the codes of a call's refusals
LIMITS = ("max_body", "max_images", "max_pixels", "body_seconds")
ID = (ID_HEADER,)  # every response has it
QUOTA = ("RateLimit-Policy", "RateLimit")  # the answer to images, and the refusal of too many
SECURITY_SCHEMES = ("bearer", "apiKey")  # either way to send the key
PAIR = {"minItems": 2, "maxItems": 2}
MODEL_PATH = f"{PATH}/models/{{name}}"  # the calls below it are also below each version of a model

Document = dict[str, Any]


def document(settings: Settings) -> Document:
    """Return the OpenAPI document of a service with these settings."""
    files = [msgspec.json.decode(file.read_bytes()) for file in sorted(FILES.glob("*.json"))]
    document: Document = reduce(merge, [*files, _from_code(settings)])
    document["paths"] |= _version_paths(document["paths"])
    for path, operations in document["paths"].items():
        form = _v2_response if is_v2(path) else _response
        for operation in operations.values():
            scopes = scopes_for(path)
            if scopes and settings.keys_file:
                operation["x-scopes"] = scopes
                operation["security"] = [{scheme: [scope]} for scope in scopes for scheme in SECURITY_SCHEMES]
            own, codes = operation["responses"], operation.pop(REFUSALS, [])
            codes = [*codes, Unauthorised.code, NotAllowed.code] if scopes else codes
            operation["responses"] = own | _refusals(codes, form) | own
            for status, response in operation["responses"].items():
                names = QUOTA + ID if status == "200" and RateLimited.code in codes else ID
                response["headers"] = response.get("headers", {}) | _headers(names)
    return document


def merge(one: Any, other: Any) -> Any:
    """Merge objects key by key, and lists one after the other; raises ValueError for a fact that is said twice."""
    if isinstance(one, dict) and isinstance(other, dict):
        both = {key: merge(one[key], other[key]) for key in one.keys() & other.keys()}
        return one | other | both
    if isinstance(one, list) and isinstance(other, list):
        return one + other
    raise ValueError(f"{one!r} and {other!r} are two values of the same key; give it one")


def _version_paths(paths: Document) -> Document:
    """Return the protocol's calls about a model once more, about a version of it."""
    return {
        path.replace(MODEL_PATH, f"{MODEL_PATH}/versions/{{version}}"): {
            method: _version_operation(operation) for method, operation in operations.items()
        }
        for path, operations in paths.items()
        if path.startswith(MODEL_PATH)
    }


def _version_operation(operation: Document) -> Document:
    """Return a call about a model as a call about one of its versions, which is loaded when it is first named."""
    name = operation["operationId"]
    return operation | {
        "operationId": f"{name}_version",
        "summary": f"{operation['summary']}, in one version",
        "parameters": [*operation["parameters"], {"$ref": "#/components/parameters/version"}],
        REFUSALS: [*operation[REFUSALS], NoModel.code, Overloaded.code],
        "x-codeSamples": [],
        "x-same-as": name,
    }


def _from_code(settings: Settings) -> Document:
    """Return the part that the code defines: the version, limits, types and problems."""
    parameters = {
        "top_k": {"schema": {"default": PredictOptions.top_k}},
        "coverage": {"schema": {"minimum": MIN_COVERAGE, "maximum": MAX_COVERAGE}},
    }
    kinds = subclasses(Refusal)
    return {
        "info": {"version": installed_version(), "x-limits": {name: getattr(settings, name) for name in LIMITS}},
        "components": {
            "parameters": parameters,
            "schemas": merge(_schemas(), _constraints(settings, kinds)),
            "responses": {kind.code: _response([kind]) for kind in kinds},
        },
    }


def _constraints(settings: Settings, kinds: list[type[Refusal]]) -> Document:
    """Return the constraints on fields that their types do not express."""
    fields = {
        "ImageBody": {"images": {"minItems": 1, "maxItems": settings.max_images}},
        "Problem": {"code": {"enum": [kind.code for kind in kinds]}},
        "InferenceRequest": {
            "inputs": {"type": "array", "items": _ref("InputTensor"), "minItems": 1, "maxItems": 1},
            "outputs": {"type": ["array", "null"], "items": _ref("RequestedOutput")},
        },
        "InputTensor": {
            "name": {"const": INPUT},
            "datatype": {"enum": [UINT8, BYTES]},
            "shape": {"type": "array", "items": msgspec.json.schema(Size), "minItems": 1},
        },
        "RequestedOutput": {"name": {"enum": [PROBABILITIES, NOVELTY]}},
        "OutputTensor": {"name": {"enum": [PROBABILITIES, NOVELTY]}, "datatype": {"enum": [FP32, BYTES]}},
        "IndexEntry": {"state": {"enum": [READY, UNAVAILABLE]}},
    }
    return {name: {"properties": properties} for name, properties in fields.items()}


def _ref(schema: str) -> Document:
    return {"$ref": f"#/components/schemas/{schema}"}


def _schemas() -> dict[str, Any]:
    """Return the schemas of all structs by name, each with the first paragraph of the struct's docstring."""
    _, schemas = msgspec.json.schema_components(STRUCTS, ref_template="#/components/schemas/{name}")
    for schema in schemas.values():
        described = schema.get("description", "")  # python -OO has no docstrings
        schema["description"] = " ".join(described.partition("\n\n")[0].split())
    schemas["ModelCard"]["required"].remove("golden")  # which the list of models leaves out
    # Without prefixItems, which few tools support.
    schemas["Explained"]["properties"]["window"] = {"type": "array", "items": {"type": "integer"}, **PAIR}
    ecma = msgspec.json.encode(schemas).replace(rb"\\Z", b"$")  # the end of a string: Python's syntax differs
    named: dict[str, Any] = msgspec.json.decode(ecma)
    return named


def subclasses(kind: type[Refusal]) -> list[type[Refusal]]:
    """Return all subclasses of a kind of refusal, direct or not, by status."""
    found = [heir for child in kind.__subclasses__() for heir in (child, *subclasses(child))]
    return sorted(found, key=lambda heir: (heir.status, heir.code))


def _refusals(codes: Iterable[str], form: Callable[[list[type[Refusal]]], Document]) -> Document:
    """Return, by status, the responses with these codes; any call may fail."""
    kinds = {kind.code: kind for kind in subclasses(Refusal)}
    by_status: dict[str, list[type[Refusal]]] = {}
    for code in dict.fromkeys((*codes, InternalError.code)):
        by_status.setdefault(str(kinds[code].status), []).append(kinds[code])
    return {status: form(by_status[status]) for status in sorted(by_status)}


def _v2_response(kinds: list[type[Refusal]]) -> Document:
    """Return the V2 protocol's response for one of these refusals."""
    return _response(kinds) | {"content": {JSON: {"schema": _ref("V2Error")}}}


def _response(kinds: list[type[Refusal]]) -> Document:
    """Return the response that is a problem document of one of these kinds."""
    special = {"code": {"enum": [kind.code for kind in kinds]}, "status": {"const": kinds[0].status}}
    response: Document = {
        "description": " ".join(f"{kind.title}." for kind in kinds),
        "content": {PROBLEM: {"schema": _ref("Problem") | {"properties": special}}},
    }
    if headers := [name for kind in kinds for name in kind("").headers()]:
        response["headers"] = _headers([*headers, *(QUOTA if RateLimited in kinds else ())])
    return response


def _headers(names: Iterable[str]) -> Document:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
