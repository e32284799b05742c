"""GET /models/<name>/<version>/<file>: a model's README, its figures and, where that is allowed, the model itself."""

from collections.abc import Iterable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from flask import Blueprint, Response, request

from serving import regular_file
from serving.api.memory_budget import MemoryBudget
from serving.concurrency import run_in_thread
from serving.errors import NoModel, NotAllowed, NotFound
from serving.model.card import MODEL_FILE
from serving.model.classifier import MAX_FILE_BYTES, digest_of
from serving.repository.repository import Repository
from serving.settings import Settings, variable

README = "README.md"  # of all versions of a model
TYPES = {
    README: "text/markdown",
    "curves.png": "image/png",
    "confusion.png": "image/png",
    MODEL_FILE: "application/octet-stream",
}
DOWNLOAD_BYTES = 256 << 20  # of models that a worker holds while their clients read them
MAX_BESIDE = 16 << 20  # of a README or a figure, which are sent in one piece: they take up to 200 kB
COPIES = 2  # of a model while it is sent: alone, and behind its head


def blueprint(repository: Repository, settings: Settings) -> Blueprint:
    """Return the route that sends the files of a model."""
    api = Blueprint("model_files", __name__)
    models = settings.folder.absolute()  # its links are followed anew each time, as for the models
    memory = MemoryBudget(DOWNLOAD_BYTES, "models are being downloaded")

    @api.get("/models/<name>/<version>/<file>")
    def model_file(name: str, version: str, file: str) -> Response:
        if file not in TYPES:
            raise NotFound(f"There is no file {file[:120]!r}. Files: {', '.join(TYPES)}.")
        repository.find(name).version(version)  # raises UnknownModel
        paths = {other: models / name / (other if other == README else f"{version}/{other}") for other in TYPES}
        if file == MODEL_FILE:
            if not settings.allow_download:
                raise NotAllowed(
                    "This service does not let clients download models; start it with "
                    f"{variable('allow_download')}=true to allow that."
                )
            return _model(repository, name, version, paths[file], memory)
        try:
            if not paths[file].is_file():
                there = ", ".join(other for other, path in paths.items() if path.is_file())
                raise NotFound(f"{name}/{version} has no {file}. Files: {there or 'none'}.")
            content = _read_beside(paths[file], (models, models / name, models / name / version))
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", error)
            raise NotFound(f"{name}/{version} has a {file} that is not sent: {reason}.") from error
        response = Response(content, mimetype=TYPES[file])
        response.add_etag()
        response.make_conditional(request)
        response.headers["Cache-Control"] = "no-cache"  # revalidated each time, with 304 while it is the same
        return response

    return api


def _read_beside(path: Path, folders: Iterable[Path]) -> bytes:
    """Return a README or a figure; raises OSError, and ValueError for a link that leads out of these folders.

    A model that comes from elsewhere may bring such a link, and its target is not the clients'.
    """
    target = path.resolve()
    if not any(target.is_relative_to(folder.resolve()) for folder in folders):
        raise ValueError("it is a link out of the model folder; put the file itself there")
    return regular_file.read(path, MAX_BESIDE, "a README or a figure")


def _model(repository: Repository, name: str, version: str, path: Path, memory: MemoryBudget) -> Response:
    """Return exactly the file that is served, not one that is about to take its place; raises NoModel, Overloaded."""
    served = repository.named(name, version).digest
    with ExitStack() as reserved:
        reserved.enter_context(memory.reserve(COPIES * _size(path)))
        content, digest = run_in_thread(partial(_read, path))
        if digest != served:
            raise NoModel(f"The file of {name}/{version} is not the one that is served; ask again a little later.")
        response = Response(content, mimetype=TYPES[MODEL_FILE])
        response.headers["Content-Disposition"] = f"attachment; filename={MODEL_FILE}"
        response.set_etag(digest)
        response.make_conditional(request)
        response.call_on_close(reserved.pop_all().close)
        return response


def _size(path: Path) -> int:
    """Return a file's bytes; 0 where there is none any more."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _read(path: Path) -> tuple[bytes, str]:
    """Return a file's content and digest; both are empty where there is none any more."""
    try:
        content = regular_file.read(path, MAX_FILE_BYTES, "a model file")
    except regular_file.RegularFileError:
        return b"", ""
    return content, digest_of(content)
