"""/repository: Triton's model repository extension."""

from collections.abc import Callable, Iterator
from typing import Protocol

from flask import Blueprint, Response, jsonify, request
from msgspec import Struct

from serving.api.uploads import Limits, read_body
from serving.api.v2.tensors import decoded
from serving.errors import BadRequest, NotAllowed
from serving.repository.repository import Repository
from serving.repository.index import UNLOADED, Model, Version
from serving.settings import variable

READY, UNAVAILABLE = "READY", "UNAVAILABLE"
DEPENDENTS = "unload_dependents"  # the one parameter that is taken: no model here depends on another


class Loader(Protocol):
    """Who loads and unloads models, in all workers. Raises Refusal."""

    def load(self, name: str) -> object:
        """Load a model, or look again for new versions of a loaded one."""

    def unload(self, name: str) -> object:
        """Let a model answer no more until it is loaded again."""


class IndexRequest(Struct, frozen=True):
    """The JSON of a request for the index."""

    ready: bool = False  # whether to leave out what is not


class LoadRequest(Struct, frozen=True):
    """The JSON of a request to load or unload."""

    parameters: dict[str, str | int | float | bool] = {}


class Entry(Struct, frozen=True):
    """A version of a model in the index."""

    name: str
    version: str
    state: str
    reason: str


def blueprint(repository: Repository, loader: Loader | None, limits: Limits) -> Blueprint:
    """Return the routes; without a loader, none may load."""
    api = Blueprint("v2-repository", __name__, url_prefix="/repository")

    @api.post("/index")
    def index() -> Response:
        asked: IndexRequest = decoded(read_body(request.environ, limits) or b"{}", IndexRequest)
        entries = [entry for model in repository.models.values() for entry in entries_of(model)]
        return jsonify([entry for entry in entries if entry.state == READY or not asked.ready])

    @api.post("/models/<name>/load")
    def load(name: str) -> Response:
        return _changed(loader.load if loader else None, name, limits)

    @api.post("/models/<name>/unload")
    def unload(name: str) -> Response:
        return _changed(loader.unload if loader else None, name, limits)

    return api


def entries_of(model: Model) -> Iterator[Entry]:
    """Yield the versions of a model; an idle one is ready too, since it answers when it is named."""
    if not model.files:
        yield Entry(model.name, "", UNAVAILABLE, model.reason or "")
    for version in model.files.values():
        ready = version.state != "unavailable" and not model.unloaded
        yield Entry(model.name, version.number, READY if ready else UNAVAILABLE, _why(model, version))


def _why(model: Model, version: Version) -> str:
    """Return what is wrong with a version, even with the file that is to replace an answering one's."""
    return (UNLOADED if model.unloaded else version.reason) or ""


def _changed(change: Callable[[str], object] | None, name: str, limits: Limits) -> Response:
    asked: LoadRequest = decoded(read_body(request.environ, limits) or b"{}", LoadRequest)
    if change is None:
        raise NotAllowed(
            f"Models are not loaded or unloaded over HTTP unless the service is started with "
            f"{variable('allow_loading')}=true."
        )
    if foreign := sorted(asked.parameters.keys() - {DEPENDENTS}):
        raise BadRequest(
            f"The parameter {foreign[0][:120]!r} is not taken: a model and its configuration come from the folder of "
            "models alone."
        )
    change(name)
    return jsonify({})
