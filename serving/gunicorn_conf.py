"""gunicorn's settings for this service: gunicorn -c python:serving.gunicorn_conf 'serving.app:create_app()'."""

import gc
import importlib
import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path

from gunicorn.arbiter import Arbiter

from serving.concurrency import finish
from serving.cpu import usable_cores
from serving.server.hooks import END
from serving.server.worker import Worker
from serving.settings import Settings, SettingsError
from serving.telemetry.logs import Log, readable
from serving.telemetry.tracing import TracingError, check_installed, wanted

SHARED_COUNTS = "PROMETHEUS_MULTIPROC_DIR"
FINISH_SECONDS = 5.0  # for what is under way beside the requests, once those are answered
COUNTS = "thimble-counts"  # begins the name of their folder; the master's process id follows

try:
    settings = Settings.from_environment().check()
    if wanted():
        check_installed()
except (SettingsError, TracingError) as error:
    sys.exit(f"thimble: {error}")

host = f"[{settings.host}]" if ":" in settings.host else settings.host  # an IPv6 address
bind = f"{host}:{settings.http_port}"
workers = settings.processes
worker_class = "serving.server.worker.Worker"
preload_app = False  # an onnxruntime session must not cross a fork: each worker makes its own
worker_connections = 500  # of each worker; the bodies being read have a limit of their own
keepalive = 75  # longer than the idle time of common load balancers, which else reuse a closed connection
timeout = 60  # of a worker's heartbeat: the longest that one request may work
graceful_timeout = 30  # what accepted requests have to finish in after SIGTERM
shared_memory = Path("/dev/shm")  # noqa: S108  # only heartbeats and counts of this service's own making go there
worker_tmp_dir = str(shared_memory) if shared_memory.is_dir() else None  # a slow disk would delay the heartbeat
Log.text = readable(settings.log_format)
logger_class = Log
control_socket_disable = True  # it would write to the home folder, which a container need not have


def on_starting(_: Arbiter) -> None:
    """Make the folder in which the workers count, for any of them to add up; take away those of the killed."""
    folder = Path(worker_tmp_dir or tempfile.gettempdir())
    for left in folder.glob(f"{COUNTS}-*-*"):
        process = left.name.split("-")[2]  # this one's own number was another's: in a container it is always 1
        if process == str(os.getpid()) or (Path("/proc/self").exists() and not Path("/proc", process).exists()):
            shutil.rmtree(left, ignore_errors=True)
    # Before prometheus_client is imported, which looks here once.
    os.environ[SHARED_COUNTS] = tempfile.mkdtemp(prefix=f"{COUNTS}-{os.getpid()}-", dir=folder)
    # What is large is loaded once, for all workers to share its memory: but nothing that must not cross a fork, nor
    # Flask, whose log handler would end in a traceback under gevent.
    importlib.import_module("serving.inference.predictor")
    gc.collect()
    gc.freeze()


def on_exit(_: Arbiter) -> None:
    """Leave nothing behind."""
    shutil.rmtree(os.environ[SHARED_COUNTS], ignore_errors=True)


def when_ready(server: Arbiter) -> None:
    """Say what was found and what was chosen."""
    cores, session_threads = usable_cores(), settings.session_threads
    looked_at = f"every {settings.poll_seconds:g} s" if settings.poll_seconds else "when a load is ordered"
    for line in (
        f"Thimble on http://{bind}: POST an image to /classify",
        f"usable cores {cores:g}: workers {workers}, onnxruntime threads {session_threads} each",
        f"limits: {settings.max_body:,} bytes in {settings.body_seconds:g} s, {settings.max_images} images a request, "
        f"{settings.max_pixels:,} pixels an image, {settings.max_in_flight} images in flight",
        f"models: {settings.folder.resolve()}, looked at {looked_at}",
        *(f"shadow of {shade.model}: {shade}, on {shade.share:g} of its requests" for shade in settings.shadow),
    ):
        server.log.info("%s", line)


def post_worker_init(_: Worker) -> None:
    """Spare what was loaded to serve from being looked through for garbage: that takes longer than many requests."""
    gc.collect()
    gc.freeze()


def worker_exit(_: Arbiter, worker: Worker) -> None:
    """Count and log what has not been yet, and let the loading of a model come to its end."""
    if application := getattr(worker, "wsgi", None):  # there is none where it failed to start
        application.extensions[END]()
    finish(FINISH_SECONDS)


def post_fork(_: Arbiter, worker: Worker) -> None:
    """Send what this service logs, such as which models are ready, where gunicorn's own words go."""
    log = logging.getLogger("serving")
    log.handlers = worker.log.error_log.handlers
    log.setLevel(logging.INFO)
