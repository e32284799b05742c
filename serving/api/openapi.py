"""The interface for programs: an OpenAPI document, put together from serving/openapi/*.json and from the code.

The files say what calls there are and what things mean; types, limits and codes come from the code that has them.
"""

from collections.abc import Callable, Iterable
from functools import reduce
from pathlib import Path
from typing import Any

import msgspec

from serving.api import v2
from serving.api.classify import LEAST_COVERAGE, MOST_COVERAGE
from serving.api.explain import Explained
from serving.api.request_log import ID_HEADER
from serving.api.models import Listing
from serving.api.replies import JSON, PROBLEM
from serving.api.uploads import ImageBody
from serving.api.v2.replies import InferenceReply
from serving.api.v2.repository import READY, UNAVAILABLE, Entry, IndexRequest, LoadRequest
from serving.api.v2.requests import InferenceRequest
from serving.api.v2.metadata import FLOATS, PIXELS, TEXTS, Signature
from serving.model.card import INPUT, NOVELTY, PROBABILITIES
from serving.errors import InternalError, NoModel, Overloaded, Problem, Refusal
from serving.prediction import Prediction
from serving.inference.options import Question
from serving.settings import Settings
from serving.version import version_of_this

FILES = Path(__file__).parent.parent / "openapi"
V2_STRUCTS = (v2.Refused, Signature, InferenceRequest, InferenceReply, IndexRequest, Entry, LoadRequest)
STRUCTS = (Prediction, Explained, Listing, ImageBody, Problem, *V2_STRUCTS)  # and what they are made of
REFUSALS = "refusals"  # in the files: the codes with which a call may be refused
LIMITS = ("max_body", "max_images", "max_pixels", "body_seconds")
ID = {ID_HEADER: {"$ref": f"#/components/headers/{ID_HEADER}"}}  # which every answer has
PAIR = {"minItems": 2, "maxItems": 2}
MODEL = f"{v2.PATH}/models/{{name}}"  # the calls below it are also below each version of a model

Document = dict[str, Any]


def document(settings: Settings) -> Document:
    """Return the OpenAPI document of a service with these settings."""
    files = [msgspec.json.decode(file.read_bytes()) for file in sorted(FILES.glob("*.json"))]
    whole: Document = reduce(merged, [*files, _of_the_code(settings)])
    whole["paths"] |= _of_versions(whole["paths"])
    for path, operations in whole["paths"].items():
        form = _v2_response if v2.is_v2(path) else _response
        for operation in operations.values():
            own = operation["responses"]
            operation["responses"] = own | _refusals(operation.pop(REFUSALS, []), form) | own
            for response in operation["responses"].values():
                response["headers"] = response.get("headers", {}) | ID
    return whole


def merged(one: Any, other: Any) -> Any:
    """Return both: objects key by key, lists one after the other; raises ValueError for a fact that is said twice."""
    if isinstance(one, dict) and isinstance(other, dict):
        both = {key: merged(one[key], other[key]) for key in one.keys() & other.keys()}
        return one | other | both
    if isinstance(one, list) and isinstance(other, list):
        return one + other
    raise ValueError(f"{one!r} and {other!r} are said of the same; say it once")


def _of_versions(paths: Document) -> Document:
    """Return the calls of the protocol about a model once more, about a version of it."""
    return {
        path.replace(MODEL, f"{MODEL}/versions/{{version}}"): {
            method: _of_version(operation) for method, operation in operations.items()
        }
        for path, operations in paths.items()
        if path.startswith(MODEL)
    }


def _of_version(operation: Document) -> Document:
    """Return a call about a model as one about a version of it, which is loaded when it is first named."""
    name = operation["operationId"]
    return operation | {
        "operationId": f"{name}_version",
        "summary": f"{operation['summary']}, in one version",
        "parameters": [*operation["parameters"], {"$ref": "#/components/parameters/version"}],
        REFUSALS: [*operation[REFUSALS], NoModel.code, Overloaded.code],
        "x-codeSamples": [],
        "x-same-as": name,
    }


def _of_the_code(settings: Settings) -> Document:
    """Return what the code says: the version, limits, types and problems."""
    parameters = {
        "top_k": {"schema": {"default": Question.top_k}},
        "coverage": {"schema": {"minimum": LEAST_COVERAGE, "maximum": MOST_COVERAGE}},
    }
    kinds = kinds_of(Refusal)
    return {
        "info": {"version": version_of_this(), "x-limits": {name: getattr(settings, name) for name in LIMITS}},
        "components": {
            "parameters": parameters,
            "schemas": merged(_schemas(), _beyond_types(settings, kinds)),
            "responses": {kind.code: _response([kind]) for kind in kinds},
        },
    }


def _beyond_types(settings: Settings, kinds: list[type[Refusal]]) -> Document:
    """Return what fields may hold beyond what the types say of them."""
    fields = {
        "ImageBody": {"images": {"minItems": 1, "maxItems": settings.max_images}},
        "Problem": {"code": {"enum": [kind.code for kind in kinds]}},
        "InferenceRequest": {"inputs": {"minItems": 1, "maxItems": 1}},
        "InputTensor": {"name": {"const": INPUT}, "datatype": {"enum": [PIXELS, TEXTS]}, "shape": {"minItems": 1}},
        "RequestedOutput": {"name": {"enum": [PROBABILITIES, NOVELTY]}},
        "OutputTensor": {"name": {"enum": [PROBABILITIES, NOVELTY]}, "datatype": {"enum": [FLOATS, TEXTS]}},
        "Entry": {"state": {"enum": [READY, UNAVAILABLE]}},
    }
    return {name: {"properties": properties} for name, properties in fields.items()}


def _schemas() -> dict[str, Any]:
    """Return the schemas of all structs by name; of their docstrings the first paragraph."""
    _, schemas = msgspec.json.schema_components(STRUCTS, ref_template="#/components/schemas/{name}")
    for schema in schemas.values():
        schema["description"] = " ".join(schema["description"].partition("\n\n")[0].split())
    # Said without prefixItems, which few tools know.
    schemas["Explained"]["properties"]["window"] = {"type": "array", "items": {"type": "integer"}, **PAIR}
    ecma = msgspec.json.encode(schemas).replace(rb"\\Z", b"$")  # the end of a text, which Python spells otherwise
    named: dict[str, Any] = msgspec.json.decode(ecma)
    return named


def kinds_of(kind: type[Refusal]) -> list[type[Refusal]]:
    """Return all kinds of a refusal, by status."""
    heirs = [heir for child in kind.__subclasses__() for heir in (child, *kinds_of(child))]
    return sorted(heirs, key=lambda heir: (heir.status, heir.code))


def _refusals(codes: Iterable[str], form: Callable[[list[type[Refusal]]], Document]) -> Document:
    """Return the responses of a call, by status, that may be refused with these codes; any call may fail."""
    kinds = {kind.code: kind for kind in kinds_of(Refusal)}
    by_status: dict[str, list[type[Refusal]]] = {}
    for code in dict.fromkeys((*codes, InternalError.code)):
        by_status.setdefault(str(kinds[code].status), []).append(kinds[code])
    return {status: form(by_status[status]) for status in sorted(by_status)}


def _v2_response(kinds: list[type[Refusal]]) -> Document:
    """Return the response that is one of these refusals in the protocol's form."""
    return _response(kinds) | {"content": {JSON: {"schema": {"$ref": "#/components/schemas/Refused"}}}}


def _response(kinds: list[type[Refusal]]) -> Document:
    """Return the response that is a problem of one of these kinds."""
    special = {"code": {"enum": [kind.code for kind in kinds]}, "status": {"const": kinds[0].status}}
    response: Document = {
        "description": " ".join(f"{kind.title}." for kind in kinds),
        "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem", "properties": special}}},
    }
    if any(kind.retry_after for kind in kinds):
        response["headers"] = {"Retry-After": {"$ref": "#/components/headers/Retry-After"}}
    return response
