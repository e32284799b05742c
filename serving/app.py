"""The application: everything wired together."""

import os
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

from flask import Flask
from PIL import Image
from prometheus_client import CollectorRegistry

from serving.inference.admission import Admission
from serving.inference.predictor import Desk
from serving.api import classify, explain, framework, models, operations, pages, v2
from serving.api.request_log import Journal, to_standard_error
from serving.api.replies import Problems, Shortcut
from serving.api.uploads import Limits, Memory
from serving.api.v2 import repository as v2_repository
from serving.api.v2 import statistics as v2_statistics
from serving.api.v2.infer import Infer
from serving.concurrency import OneByOne
from serving.repository.repository import Repository
from serving.repository.loader import Loading
from serving.repository.commands import Orders
from serving.repository.poller import Watch
from serving.server.deadline import Deadline
from serving.server.hooks import END, REFUSE, TICK
from serving.settings import Settings
from serving.telemetry.prediction_metrics import Drift, References
from serving.telemetry.model_gauges import Inventory
from serving.telemetry.logs import readable
from serving.telemetry.metrics import SHARED, Metrics, registries
from serving.telemetry.shadow import Shadow
from serving.telemetry.triton_statistics import Statistics
from serving.telemetry.tracing import Tracing

BODIES_AT_ONCE = 8  # of the largest size, that each worker reads; of smaller ones as many more


def create_app(settings: Settings | None = None) -> Flask:
    """Return the service; without settings they are read from the environment."""
    settings = settings or Settings.from_environment()
    Image.MAX_IMAGE_PIXELS = None  # serving.imaging.preprocessing judges the size itself, to refuse it in its own words
    warnings.filterwarnings("ignore", module="PIL")  # Pillow repeats text of damaged uploads
    own, counted = registries()
    metrics, statistics, seen = Metrics(own), Statistics(counted), CollectorRegistry()
    repository = repository_of(settings, metrics)
    for collector in (statistics, References(repository), Inventory(repository)):
        seen.register(collector)
    drift, shadow, watch = Drift(metrics), Shadow(repository, metrics), Watch(repository, settings.poll_seconds)
    desk = Desk(repository, settings.max_pixels, drift, OneByOne(settings.wait_seconds), shadow)
    limits = limits_of(settings)
    admission = Admission(settings.in_flight, settings.wait_seconds)
    view, infer = classify.Classify(desk, limits, admission), Infer(repository, desk, limits, admission)
    app = framework.flask(problems := Problems(metrics))
    shortcut = Shortcut(app.wsgi_app, "POST", classify.PATH, view, problems)
    app.wsgi_app = journal = journal_of(settings, metrics, shortcut)  # type: ignore[method-assign]
    count = partial(each, (drift.tick, journal.tick))
    extensions = (
        v2_repository.blueprint(repository, repository if settings.allow_loading else None, limits),
        v2_statistics.blueprint(repository, statistics, count),
    )
    for blueprint in (
        classify.blueprint(view),
        explain.blueprint(desk, limits, admission),
        models.blueprint(repository),
        operations.blueprint(repository, seen, count),
        pages.blueprint(repository, settings),
        v2.blueprint(repository, infer, settings, *extensions),
    ):
        app.register_blueprint(blueprint)
    app.extensions |= {
        TICK: partial(each, (count, shadow.tick, watch.tick)),
        END: partial(each, (count, journal.end)),
        REFUSE: journal.refusing(problems.reply),
    }
    return app


def each(calls: tuple[Callable[[], None], ...]) -> None:
    """Make all of these calls."""
    for call in calls:
        call()


def repository_of(settings: Settings, metrics: Metrics) -> Repository:
    """Return the models of the settings' folder, which count what they load and obey the orders to all workers."""

    def count(loading: Loading) -> None:
        metrics.loads.labels(loading.name, "loaded" if loading.digest else "refused").inc()

    return Repository(
        settings.folder,
        settings.session_threads,
        settings.default_grey,
        settings.default_colour,
        settings.shadow,
        Orders(Path(os.environ[SHARED], "orders") if SHARED in os.environ else None),
        count,
    )


def limits_of(settings: Settings) -> Limits:
    """Return what a body may be."""
    memory = Memory(BODIES_AT_ONCE * settings.max_body)
    return Limits(settings.max_body, settings.max_images, Deadline(settings.body_seconds), memory)


def journal_of(settings: Settings, metrics: Metrics, application: Shortcut) -> Journal:
    """Return the application with each request logged, counted and traced."""
    write = to_standard_error if settings.log_requests else None
    return Journal(application, metrics, write, readable(settings.log_format), Tracing.from_environment())
