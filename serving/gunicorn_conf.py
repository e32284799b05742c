"""gunicorn's settings for this service: gunicorn -c python:serving.gunicorn_conf 'serving.app:create_app()'."""

import atexit
import gc
import importlib
import logging
import os
import resource
import signal
import sys
from functools import partial
from pathlib import Path
from types import FrameType

from gunicorn.arbiter import Arbiter

from serving.access.rate_limiter import TABLE_BYTES
from serving.concurrency import join_threads
from serving.cpu import usable_cores
from serving.lifecycle import Lifecycle
from serving.server.deadline import MIN_BODY_RATE
from serving.server.shared_folder import (
    ROOM_BYTES,
    leave_shared_folder,
    make_shared_folder,
    remove_shared_folder,
    restore_shared_folder,
    temporary_folders,
    with_room,
)
from serving.server.syn_filter import drop_syns
from serving.server.worker import Worker
from serving.settings import Settings, SettingsError, misspelt, shared_folder, variable
from serving.telemetry.dropped_lines import DroppedLines
from serving.telemetry.log_relay import LogRelay
from serving.telemetry.logs import GunicornLogger, text_wanted
from serving.telemetry.tracing import TracingError, check_tracing

JOIN_TIMEOUT = 5.0  # seconds for slow work in threads, once the requests are answered
# Loaded once: the workers share its memory, and one that replaces a killed one is ready sooner. All of it may cross a
# fork. Flask is not among them: its log handler would end in a traceback under gevent.
PRELOADED = ("serving.inference.predictor", "serving.telemetry.telemetry", "jinja2", "werkzeug.routing")
FILES_PER_CONNECTION = 2  # itself, and the file that it is sent
OTHER_FILES = 200  # of a worker, beside its connections: pipes of decoders, counts, model files that are being loaded
NO_ROOM = (
    "no room in shared memory: each worker counts alone, and a command to load a model reaches only one; make /dev/shm "
    "larger"
)

try:
    settings = Settings.from_environment().check()
    check_tracing()
except (SettingsError, TracingError) as error:
    sys.exit(f"thimble: {error}")

host = f"[{settings.host}]" if ":" in settings.host else settings.host  # an IPv6 address
bind = f"{host}:{settings.http_port}"
workers = settings.processes
worker_class = "serving.server.worker.Worker"
preload_app = False  # an onnxruntime session must not cross a fork: each worker opens its own
worker_connections = 500  # of each worker; the bodies being read have a limit of their own
keepalive = 75  # longer than common load balancers keep idle connections, so that they do not reuse a closed one
timeout = 60  # of a worker's heartbeat: the longest that one request may block it
graceful_timeout = 30  # in which accepted requests finish after SIGTERM
shared_memory = Path("/dev/shm")  # noqa: S108  # only this service's heartbeats and counts go there
room = workers * ROOM_BYTES + (TABLE_BYTES if settings.rate_limit else 0)
shared_parent = with_room((shared_memory, *temporary_folders()), room)
if shared_parent is None and not list(temporary_folders()):
    sys.exit(
        "thimble: no folder can be written to, and each worker needs a file there: make /dev/shm or TMPDIR writable"
    )
worker_tmp_dir = str(shared_parent) if shared_parent else None  # a slow disk would delay the heartbeat
GunicornLogger.text = text_wanted(settings.log_format)
logger_class = GunicornLogger
log_relay = LogRelay(GunicornLogger.text)
control_socket_disable = True  # it would write to the home folder, which a container may lack


def nworkers_changed(_: Arbiter, __: int, before: int | None) -> None:
    """Make what the processes share: the log, and the folder of counts and commands.

    It is the one hook that gunicorn calls before its first line, which would wait for a reader of the log.
    """
    if before is not None:
        return
    make_shared_folder(shared_parent)
    log_relay.start(DroppedLines(shared_folder()))
    atexit.register(log_relay.stop)  # on_exit is not called after every failure
    os.environ[variable("log_format")] = "text" if GunicornLogger.text else "json"  # the relay is no terminal


def on_starting(server: Arbiter) -> None:
    """Say where the processes share less than they could, and load what they all need."""
    if shared_parent is None:
        server.log.warning("%s", NO_ROOM)
    elif shared_memory.is_dir() and shared_parent != shared_memory:
        server.log.warning("%s has no room; the workers share their counts in %s", shared_memory, shared_parent)
    _allow_open_files(server, FILES_PER_CONNECTION * server.cfg.worker_connections + OTHER_FILES)
    for module in PRELOADED:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()


def _allow_open_files(server: Arbiter, count: int) -> None:
    """Let each process have so many files open; warn where the system allows fewer. macOS begins with 256."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= count:
        return
    allowed = count if hard == resource.RLIM_INFINITY else min(count, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < count:
        server.log.warning(
            "a process may have %d files open, and a full worker needs %d: raise the limit (ulimit -Hn), or lower "
            "--worker-connections",
            allowed,
            count,
        )


def on_exit(_: Arbiter) -> None:
    """Remove the shared folder."""
    remove_shared_folder()


def on_reload(server: Arbiter) -> None:
    """Read the list of digests and the key again, at SIGHUP: all workers are about to be replaced."""
    try:
        settings.read_again()
    except SettingsError as error:
        server.log.error("%s; what was read before stays in force", error)


def pre_exec(server: Arbiter) -> None:
    """Give the new master, at SIGUSR2, the real standard error, and a command that starts it."""
    log_relay.give_back()
    if Path(sys.argv[0]).name == "__main__.py":  # python -m gunicorn; that file as a script cannot import Python's http
        server.START_CTX["args"] = [sys.executable, "-m", "gunicorn", *sys.argv[1:]]


def when_ready(server: Arbiter) -> None:
    """Log the address, the cores, the limits and the model folder; get ready to stop."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, partial(stop, server))
    cores, session_threads = usable_cores(), settings.session_threads
    polled = f"every {settings.poll_seconds:g} s" if settings.poll_seconds else "when a load is commanded"
    for line in (
        f"Thimble on {', '.join(map(str, server.LISTENERS))}: POST an image to /classify",
        f"usable cores {cores:g}: workers {workers}, onnxruntime threads {session_threads} each",
        f"limits: {settings.max_body:,} bytes in {settings.body_seconds:g} s and one more for every "
        f"{MIN_BODY_RATE:,}, {settings.max_images} images a request, "
        f"{settings.max_pixels:,} pixels an image, {settings.max_in_flight} images in flight",
        f"keys: {settings.keys_file or 'none is needed'}; limit of a client: {settings.rate_limit or 'none'}",
        f"models: {settings.folder.resolve()}, polled {polled}",
        *(f"shadow of {rule.model}: {rule}, on {rule.share * 100:g}% of its requests" for rule in settings.shadow),
    ):
        server.log.info("%s", line)
    for name, setting in misspelt().items():
        server.log.warning("%s is not a setting, and is ignored; is %s meant?", name, setting)


def stop(server: Arbiter, number: int, frame: FrameType | None) -> None:
    """Let nobody connect any more, unless another master goes on with these sockets; then stop as gunicorn does."""
    if os.getpid() != server.pid:  # a worker that starts, and has set no handler of its own yet
        os._exit(0)  # whatever it runs just now might catch SystemExit
    if not (server.reexec_pid or server.master_pid or server.systemd):
        for listener in filter(None, [listener.sock for listener in server.LISTENERS]):
            drop_syns(listener)
    server.signal(number, frame)


def post_worker_init(worker: Worker) -> None:
    """Start the decoders, and freeze loaded objects: collecting garbage among them takes longer than many requests."""
    Lifecycle.of(worker.wsgi).start()
    gc.collect()
    gc.freeze()


def worker_exit(_: Arbiter, worker: Worker) -> None:
    """Close the application, and wait for slow work in threads, such as the loading of a model."""
    if application := getattr(worker, "wsgi", None):  # it is missing where the worker failed to start
        Lifecycle.of(application).close()
    join_threads(JOIN_TIMEOUT)


def post_fork(_: Arbiter, worker: Worker) -> None:
    """Send this service's own log messages, such as the ready models, where gunicorn's go; check the shared folder."""
    log = logging.getLogger("serving")
    log.handlers = worker.log.error_log.handlers
    log.setLevel(logging.INFO)
    restore_shared_folder()
    if (folder := shared_folder()) and not with_room([folder], ROOM_BYTES):
        leave_shared_folder()
        log.warning("%s", NO_ROOM)
