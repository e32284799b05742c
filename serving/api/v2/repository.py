"""/repository: Triton's model repository extension."""

from collections.abc import Callable, Iterator
from typing import Protocol

from flask import Blueprint, Response, jsonify, request
from msgspec import Struct

from serving.access.same_origin import SameOrigin
from serving.api.content import read_content
from serving.api.intake import Intake
from serving.api.v2.tensors import decode_json
from serving.errors import BadRequest, NotAllowed
from serving.repository.index import UNLOADED, Model, Version
from serving.repository.repository import Repository
from serving.settings import variable

READY, UNAVAILABLE = "READY", "UNAVAILABLE"
UNLOAD_DEPENDENTS = "unload_dependents"  # the one supported parameter: no model here depends on another
MAX_BODY = 262_144  # bytes: ample for a model's configuration, which the messages then say is unsupported


class ModelLoader(Protocol):
    """Loads and unloads models in all workers. Raises Refusal."""

    def load(self, name: str) -> object:
        """Load a model, or the new versions of a loaded one."""

    def unload(self, name: str) -> object:
        """Unload a model until it is loaded again."""


class IndexRequest(Struct, frozen=True):
    """The JSON of a request for the index."""

    ready: bool = False  # leave out models that are not ready


class LoadRequest(Struct, frozen=True):
    """The JSON of a request to load or unload."""

    parameters: dict[str, str | int | float | bool] | None = None


class IndexEntry(Struct, frozen=True):
    """A version of a model in the index."""

    name: str
    version: str
    state: str
    reason: str


def blueprint(repository: Repository, loader: ModelLoader | None, intake: Intake, same_origin: SameOrigin) -> Blueprint:
    """Return the routes; without a loader, loading is not allowed."""
    api = Blueprint("v2-repository", __name__, url_prefix="/repository")
    intake = intake.without_images(MAX_BODY)

    @api.post("/index")
    def index() -> Response:
        with read_content(request.environ, intake) as content:
            options: IndexRequest = decode_json(content or b"{}", IndexRequest)
        entries = [entry for model in repository.models.values() for entry in index_entries(model)]
        return jsonify([entry for entry in entries if entry.state == READY or not options.ready])

    @api.post("/models/<name>/load")
    def load(name: str) -> Response:
        same_origin.check(request.environ)
        return _change(loader.load if loader else None, name, intake)

    @api.post("/models/<name>/unload")
    def unload(name: str) -> Response:
        same_origin.check(request.environ)
        return _change(loader.unload if loader else None, name, intake)

    return api


def index_entries(model: Model) -> Iterator[IndexEntry]:
    """Yield the versions of a model; an idle one counts as ready, since it answers when it is named."""
    if not model.files:
        yield IndexEntry(model.name, "", UNAVAILABLE, model.reason or "")
    for version in model.files.values():
        ready = version.state != "unavailable" and not model.unloaded
        yield IndexEntry(model.name, version.number, READY if ready else UNAVAILABLE, _reason(model, version))


def _reason(model: Model, version: Version) -> str:
    """Return what is wrong with a version, or with the refused file that is to replace an answering one's."""
    return (UNLOADED if model.unloaded else version.reason) or ""


def _change(change: Callable[[str], object] | None, name: str, intake: Intake) -> Response:
    if change is None:
        raise NotAllowed(
            f"This service does not load or unload models over HTTP; start it with {variable('allow_loading')}=true to "
            "allow that."
        )
    with read_content(request.environ, intake) as content:
        options: LoadRequest = decode_json(content or b"{}", LoadRequest)
    if unsupported := sorted((options.parameters or {}).keys() - {UNLOAD_DEPENDENTS}):
        raise BadRequest(
            f"The parameter {unsupported[0][:120]!r} is unsupported: models and their configurations come from the "
            "model folder alone."
        )
    change(name)
    return jsonify({})
