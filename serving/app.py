"""The application: everything wired together."""

from functools import partial
from pathlib import Path
from wsgiref.types import WSGIApplication

from flask import Flask

from serving.access.authorization import Authorization
from serving.access.cors import Cors, hosts_of
from serving.access.key_file import KeyFile
from serving.access.proxies import Proxies
from serving.access.same_origin import SameOrigin
from serving.api import classify, explain, model_files, models, operations, pages
from serving.api.fast_path import FastPath
from serving.api.flask_app import flask_app, refuse_unrouted
from serving.api.gate import Check, Gate
from serving.api.intake import Intake
from serving.api.openapi import document
from serving.api.replies import ProblemReplies
from serving.api.request_log import RequestLog, write_to_stderr
from serving.api.v2 import blueprint as v2
from serving.api.v2 import repository as v2_repository
from serving.api.v2 import statistics as v2_statistics
from serving.api.v2.infer import Infer
from serving.concurrency import SerialExecutor
from serving.imaging.decoding import configure_pillow
from serving.inference.predictor import Predictor
from serving.lifecycle import EXTENSION, Lifecycle
from serving.repository.commands import WorkerCommands
from serving.repository.index import Routing
from serving.repository.poller import Poller
from serving.repository.repository import Repository
from serving.repository.shared_lines import SharedLines
from serving.repository.trials import Trials
from serving.repository.trust import Trust
from serving.settings import Settings, shared_folder
from serving.telemetry.logs import text_wanted
from serving.telemetry.telemetry import Telemetry
from serving.telemetry.tracing import Tracing


def create_app(settings: Settings | None = None) -> Flask:
    """Return the service; without settings they are read from the environment."""
    settings = settings or Settings.from_environment()
    configure_pillow()
    telemetry = Telemetry()
    repository = _repository(settings, telemetry)
    telemetry.attach(repository)
    predictor = Predictor(repository, settings.max_pixels, SerialExecutor(settings.wait_seconds), telemetry)
    intake = Intake.from_settings(settings)
    problems = ProblemReplies(telemetry.metrics)
    app = flask_app(problems)
    view = classify.Classify(predictor, intake)
    fast_path = FastPath(app.wsgi_app, "POST", classify.PATH, view, problems)
    keys = KeyFile(Path(settings.keys_file)) if settings.keys_file else None
    checked = _gate(fast_path, app, settings, keys)
    app.wsgi_app = request_log = _request_log(checked, problems, settings, telemetry)  # type: ignore[method-assign]
    poller = Poller(repository, settings.poll_seconds)
    lifecycle = Lifecycle(telemetry, request_log, poller, predictor.decoders, keys)
    app.extensions[EXTENSION] = lifecycle
    app.register_blueprint(classify.blueprint(view))
    app.register_blueprint(explain.blueprint(predictor, intake))
    app.register_blueprint(models.blueprint(repository))
    app.register_blueprint(model_files.blueprint(repository, settings))
    app.register_blueprint(operations.blueprint(repository, telemetry.registry, lifecycle.flush))
    app.register_blueprint(pages.blueprint(repository, document(settings), settings))
    same_origin = SameOrigin(hosts_of(settings.allowed_origins) | {settings.host}, bool(settings.keys_file))
    loading = v2_repository.blueprint(repository, settings.allow_loading, intake, same_origin)
    statistics = v2_statistics.blueprint(repository, telemetry.statistics, lifecycle.flush)
    infer = Infer(repository, predictor, intake)
    app.register_blueprint(v2.blueprint(repository, infer, settings, loading, statistics))
    return app


def _repository(settings: Settings, telemetry: Telemetry) -> Repository:
    folder = shared_folder()
    return Repository(
        settings.folder,
        settings.session_threads,
        Routing(settings.default_grey, settings.default_colour, settings.shadow),
        WorkerCommands(folder / "commands" if folder else None),
        telemetry.on_load,
        trust=_trust(settings, folder),
    )


def _trust(settings: Settings, folder: Path | None) -> Trust:
    verdicts, served = (SharedLines(folder / name if folder else None) for name in ("verdicts", "served"))
    return Trust(settings.digests(), settings.key(), Trials(verdicts), served)


def _gate(application: WSGIApplication, app: Flask, settings: Settings, keys: KeyFile | None) -> WSGIApplication:
    """Return the application behind those checks that the settings ask for; without any, as it is."""
    checks: list[Check] = []
    if settings.trusted_proxies or settings.root_path:
        checks.append(Proxies(settings.trusted_proxies, settings.root_path))
    if settings.allowed_origins:
        checks.append(Cors(settings.allowed_origins))
    if keys:
        checks.append(Authorization(keys))
    return Gate(application, checks, partial(refuse_unrouted, app)) if checks else application


def _request_log(
    application: WSGIApplication, problems: ProblemReplies, settings: Settings, telemetry: Telemetry
) -> RequestLog:
    write = partial(write_to_stderr, telemetry.dropped_lines) if settings.log_requests else None
    as_text = text_wanted(settings.log_format)
    return RequestLog(application, problems, telemetry.metrics, write, as_text, Tracing.from_environment())
