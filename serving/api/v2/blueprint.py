"""/v2: the Open Inference Protocol with Triton's extensions, for the clients that speak it."""

from dataclasses import replace

import msgspec
from flask import Blueprint, Response, jsonify, request

from serving.api.operations import check_ready
from serving.api.replies import JSON, Reply
from serving.api.v2.infer import Infer
from serving.api.v2.metadata import configuration, signature
from serving.errors import Refusal
from serving.repository.repository import Repository
from serving.settings import Settings
from serving.version import NAME, version_of_this

PATH = "/v2"
EXTENSIONS = (
    "classification",
    "binary_tensor_data",
    "model_repository",
    "model_configuration",
    "parameters",
    "statistics",
)


class Refused(msgspec.Struct, frozen=True):
    """Why a request of the protocol is not answered."""

    error: str


def blueprint(repository: Repository, infer: Infer, settings: Settings, *more: Blueprint) -> Blueprint:
    """Return the routes of the protocol itself, with more of them below the same path."""
    api = Blueprint("v2", __name__, url_prefix=PATH)
    for blueprint in more:
        api.register_blueprint(blueprint)

    @api.get("")
    def server() -> Response:
        return jsonify({"name": NAME, "version": version_of_this(), "extensions": EXTENSIONS})

    @api.get("/health/live")
    def live() -> Response:
        return jsonify({"live": True})

    @api.get("/health/ready")
    def ready() -> Response:
        check_ready(repository)
        return jsonify({"live": True, "ready": True})

    @api.get("/models/<name>")
    @api.get("/models/<name>/versions/<version>")
    def model(name: str, version: str = "") -> Response:
        return jsonify(signature(repository.named(name, version), repository.find(name).versions))

    @api.get("/models/<name>/ready")
    @api.get("/models/<name>/versions/<version>/ready")
    def model_ready(name: str, version: str = "") -> Response:
        return jsonify({"name": repository.named(name, version).card.name, "ready": True})

    @api.get("/models/<name>/config")
    @api.get("/models/<name>/versions/<version>/config")
    def config(name: str, version: str = "") -> Response:
        return jsonify(configuration(repository.named(name, version), settings.max_images, settings.processes))

    @api.post("/models/<name>/infer")
    @api.post("/models/<name>/versions/<version>/infer")
    def infer_one(name: str, version: str = "") -> Response:
        return infer(request, name, version).flask()

    return api


def is_v2(path: str) -> bool:
    """Whether an address, even one that there is not, belongs to the protocol."""
    return path == PATH or path.startswith(f"{PATH}/")


def in_its_words(reply: Reply, refusal: Refusal) -> Reply:
    """Return the reply to a refused request as the protocol's clients read it."""
    return replace(reply, body=msgspec.json.encode(Refused(str(refusal))), kind=JSON)
