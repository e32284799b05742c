"""/repository: Triton's model repository extension."""

from collections.abc import Callable, Iterator

from flask import Blueprint, Response, jsonify, request
from msgspec import Struct

from serving.access.same_origin import SameOrigin
from serving.api.content import read_content
from serving.api.intake import Intake
from serving.api.v2.tensors import decode_json
from serving.errors import BadRequest, NotAllowed
from serving.repository.index import Model
from serving.repository.repository import Repository
from serving.settings import variable

READY, UNAVAILABLE = "READY", "UNAVAILABLE"
UNLOAD_DEPENDENTS = "unload_dependents"  # the one supported parameter: no model here depends on another
MAX_BODY = 262_144  # bytes: ample for a model's configuration, which the messages then say is unsupported


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


def blueprint(repository: Repository, allow_loading: bool, intake: Intake, same_origin: SameOrigin) -> Blueprint:
    """Return the routes."""
    api = Blueprint("v2-repository", __name__, url_prefix="/repository")
    intake = intake.without_images(MAX_BODY)

    @api.post("/index")
    def index() -> Response:
        with read_content(request.environ, intake) as content:
            options: IndexRequest = decode_json(content or b"{}", IndexRequest)
        entries = [entry for model in repository.models.values() for entry in _index_entries(model)]
        return jsonify([entry for entry in entries if entry.state == READY or not options.ready])

    def change(command: Callable[[str], object], name: str) -> Response:
        same_origin.check(request.environ)
        if not allow_loading:
            raise NotAllowed(
                "This service does not load or unload models over HTTP; start it with "
                f"{variable('allow_loading')}=true to allow that."
            )
        _check_parameters(intake)
        command(name)
        return jsonify({})

    @api.post("/models/<name>/load")
    def load(name: str) -> Response:
        return change(repository.load, name)

    @api.post("/models/<name>/unload")
    def unload(name: str) -> Response:
        return change(repository.unload, name)

    return api


def _index_entries(model: Model) -> Iterator[IndexEntry]:
    """Yield the versions of a model; an idle one counts as ready, since it answers when it is named.

    A ready one has a reason too where a file that is to replace its own was refused.
    """
    if not model.files:
        yield IndexEntry(model.name, "", UNAVAILABLE, model.reason or "")
    for version in model.files.values():
        state = UNAVAILABLE if version.state == "unavailable" else READY
        yield IndexEntry(model.name, version.number, state, version.reason or "")


def _check_parameters(intake: Intake) -> None:
    """Raise BadRequest for a request to load or unload with a parameter that asks for more than that."""
    with read_content(request.environ, intake) as content:
        options: LoadRequest = decode_json(content or b"{}", LoadRequest)
    if unsupported := sorted((options.parameters or {}).keys() - {UNLOAD_DEPENDENTS}):
        raise BadRequest(
            f"The parameter {unsupported[0][:120]!r} is unsupported: models and their configurations come from the "
            "model folder alone."
        )
