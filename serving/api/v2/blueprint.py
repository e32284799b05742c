"""/v2: the Open Inference Protocol with Triton's extensions, for the clients that speak it."""

from flask import Blueprint, Response, jsonify, request

from serving.api.v2.infer import Infer
from serving.api.v2.metadata import model_config, model_metadata
from serving.api.v2.protocol import PATH
from serving.repository.repository import Repository
from serving.settings import Settings
from serving.version import NAME, installed_version

EXTENSIONS = (
    "classification",
    "binary_tensor_data",
    "model_repository",
    "model_configuration",
    "parameters",
    "statistics",
)


def blueprint(repository: Repository, infer: Infer, settings: Settings, *extensions: Blueprint) -> Blueprint:
    """Return the routes of the protocol, with its extensions below the same path."""
    api = Blueprint("v2", __name__, url_prefix=PATH)
    for extension in extensions:
        api.register_blueprint(extension)

    @api.get("")
    def server() -> Response:
        return jsonify({"name": NAME, "version": installed_version(), "extensions": EXTENSIONS})

    @api.get("/health/live")
    def live() -> Response:
        return jsonify({"live": True})

    @api.get("/health/ready")
    def ready() -> Response:
        repository.check_ready()
        return jsonify({"live": True, "ready": True})

    @api.get("/models/<name>")
    @api.get("/models/<name>/versions/<version>")
    def model(name: str, version: str = "") -> Response:
        return jsonify(model_metadata(repository.named(name, version), repository.find(name).versions))

    @api.get("/models/<name>/ready")
    @api.get("/models/<name>/versions/<version>/ready")
    def model_ready(name: str, version: str = "") -> Response:
        return jsonify({"name": repository.named(name, version).card.name, "ready": True})

    @api.get("/models/<name>/config")
    @api.get("/models/<name>/versions/<version>/config")
    def config(name: str, version: str = "") -> Response:
        return jsonify(model_config(repository.named(name, version), settings.max_images, settings.processes))

    @api.post("/models/<name>/infer")
    @api.post("/models/<name>/versions/<version>/infer")
    def infer_one(name: str, version: str = "") -> Response:
        return infer(request, name, version).flask()

    return api
