"""python -m benchmarks.serving: this service beside its alternatives, and beside the limit of the machine.

Each server has two worker processes (--workers: another number for this service) and classifies PNGs of the input's
size, and phone photos (JPEGs of 12 megapixels, composed here), with the same graph, cifar-cnn; this service is measured
with the other committed models as well. One load generator, wrk, measures them one after the other, round by round; a
figure is the median of its rounds. The limit is the decoding of PNGs, onnxruntime and JSON in a loop of two processes,
without HTTP, measured in each round as well. Ratios count: absolute figures are of one machine on one day. The peers,
written as their documentation teaches, run in environments of their own, which --install makes in build/peers.

wrk is Debian's package of that name. p50, p90, p99: milliseconds. CPU: the server's microseconds for an image. PSS
(proportional set size): the memory of all its processes, in megabytes.
"""

import argparse
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from benchmarks.free_port import free_port
from benchmarks.limit import images_per_second
from benchmarks.newest import model_names, newest
from benchmarks.uploads import phone_photo
from benchmarks.wrk import (
    IMAGES_PER_LARGE_REQUEST,
    PHOTO_UPLOADS,
    SMALL_UPLOADS,
    Load,
    Result,
    medians,
    run_wrk,
    write_scripts,
)
from serving.model.classifier import Classifier

ROOT = Path(__file__).parent.parent
SCRIPTS = Path(__file__).parent / "peers"
ENVIRONMENTS = ROOT / "build" / "peers"
COMPARED = "cifar-cnn"
WORKERS = 2
CONCURRENCY = (1, 8, 32, 64)
LOADS = (
    *(Load(upload, count) for upload in ("raw", "multipart") for count in CONCURRENCY),
    Load("many", 1),
    Load("many", 8),
    *(Load(upload, 8) for upload in PHOTO_UPLOADS),
)
OTHER_MODELS_LOADS = (Load("raw", 32), Load("many", 1))  # for the models that are not compared
READY_TIMEOUT = 60

NEEDS = {
    "flask": ["flask", "gunicorn", "onnxruntime", "pillow", "numpy"],
    "fastapi": ["fastapi", "uvicorn[standard]", "python-multipart", "onnxruntime", "pillow", "numpy"],
    "litserve": ["litserve", "python-multipart", "onnxruntime", "pillow", "numpy"],
    "bentoml": ["bentoml", "onnxruntime", "pillow", "numpy"],
}

Limits = Mapping[tuple[str, int], float]  # images a second, by model and batch


@dataclass(frozen=True)
class Server:
    """A server: the command that starts it, with PORT for its port, and the path for each kind of upload."""

    name: str
    command: tuple[str, ...]
    paths: Mapping[str, str]
    environment: str | None = None


OWN = "thimble"
PEERS = (
    Server("flask", ("gunicorn", "-w", "2", "-b", "127.0.0.1:PORT", "flask_tutorial:app"),
           dict.fromkeys(("multipart", "many", "photo form"), "/predict"), "flask"),
    Server("fastapi", ("uvicorn", "fastapi_server:app", "--workers", "2", "--port", "PORT", "--no-access-log"),
           dict.fromkeys(("raw", "photo"), "/raw") | dict.fromkeys(("multipart", "many", "photo form"), "/predict"),
           "fastapi"),
    Server("litserve", ("python", "litserve_server.py", "PORT"), {"multipart": "/predict"}, "litserve"),
    Server("bentoml", ("bentoml", "serve", "bentoml_server:Classifier", "--port", "PORT"),
           {"multipart": "/predict"}, "bentoml"),
)  # fmt: skip


def own(workers: int) -> Server:
    """Return this service with so many workers; its name has the number if it differs from that of the peers."""
    name = OWN if workers == WORKERS else f"{OWN}, {workers} workers"
    command = (sys.executable, "-m", "serving", "--port", "PORT", "--workers", str(workers))
    return Server(name, command, dict.fromkeys((*SMALL_UPLOADS, *PHOTO_UPLOADS), "/classify"))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write the table, the JSON and the plot."""
    models = model_names(ROOT / "models")
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description="Compare servers under load.")
    parser.add_argument("--install", action="store_true", help="make the peers' environments first")
    parser.add_argument("--only", nargs="*", default=[OWN, *NEEDS], metavar="SERVER", help="default: all")
    parser.add_argument("--models", nargs="*", default=models, help=f"besides {COMPARED}; default: all")
    uploads = [*SMALL_UPLOADS, *PHOTO_UPLOADS]
    parser.add_argument("--uploads", nargs="*", default=uploads, choices=uploads, help="default: all")
    parser.add_argument("--workers", type=int, nargs="*", default=[WORKERS], help=f"of this service; default {WORKERS}")
    parser.add_argument("--seconds", type=int, default=3, help="of each load (default 3)")
    parser.add_argument("--rounds", type=int, default=3, help="default 3")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "serving", help="default build/serving")
    options = parser.parse_args(arguments)
    if options.install:
        install([name for name in options.only if name in NEEDS])
    services = [own(workers) for workers in options.workers] if OWN in options.only else []
    chosen = [*services, *(server for server in PEERS if server.name in options.only)]
    models = [COMPARED, *(name for name in options.models if name != COMPARED)]
    loads = {
        name: [load for load in (LOADS if name == COMPARED else OTHER_MODELS_LOADS) if load.upload in options.uploads]
        for name in models
    }
    report(*measure(chosen, loads, options.seconds, options.rounds), options.out)


def install(names: Sequence[str]) -> None:
    """Make an environment for each peer."""
    for name in names:
        folder = ENVIRONMENTS / name
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)  # noqa: S603  # our own command
        subprocess.run([folder / "bin/pip", "install", "--quiet", *NEEDS[name]], check=True)  # noqa: S603  # the same


def measure(
    chosen: Sequence[Server], loads: Mapping[str, Sequence[Load]], seconds: int, rounds: int
) -> tuple[Sequence[Result], Limits]:
    """Measure each server in turn, and the limit, round by round; return the median of each figure.

    loads: of each model, the compared one first.
    """
    models = [name for name in loads if loads[name]]
    found: dict[tuple[str, str, Load], list[Result]] = defaultdict(list)
    limits: dict[tuple[str, int], list[float]] = defaultdict(list)
    pairs = [(server, name) for server in chosen for name in (models[:1] if server.environment else models)]
    with tempfile.TemporaryDirectory() as folder:
        photo = phone_photo()
        scripts = {name: write_scripts(Path(folder, name), shape(name), photo) for name in models}
        for number in range(rounds):
            for server, name in pairs:
                with running(server) as (process, port):
                    for load in loads[name]:
                        if load.upload in server.paths:
                            print(f"round {number + 1}: {server.name}, {name}, {load}", file=sys.stderr)
                            url = f"http://127.0.0.1:{port}{server.paths[load.upload]}?model={name}"
                            result = run_wrk(server.name, name, process.pid, url, load, scripts[name], seconds)
                            found[server.name, name, load].append(result)
            for name in models:
                for batch in (1, IMAGES_PER_LARGE_REQUEST):
                    limits[name, batch].append(images_per_second(ROOT / "models", name, batch))
    median_limits = {key: statistics.median(rates) for key, rates in limits.items()}
    return [medians(results) for results in found.values()], median_limits


def shape(model: str) -> tuple[int, int, int]:
    """Return height, width and channels of a committed model's input."""
    return Classifier.open(newest(ROOT / "models", model)).shape


@contextmanager
def running(server: Server) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Start a server, wait until it accepts connections and has warmed up, and stop it at the end."""
    port = free_port()
    command = [part.replace("PORT", str(port)) for part in server.command]
    if server.environment:
        command[0] = str(ENVIRONMENTS / server.environment / "bin" / command[0])
    environment = os.environ | {
        "THIMBLE_MODELS": str(ROOT / "models"),
        "THIMBLE_PEER_MODEL": str(newest(ROOT / "models", COMPARED)),
    }
    folder = SCRIPTS if server.environment else ROOT
    quiet = subprocess.DEVNULL
    how: dict[str, Any] = {"cwd": folder, "env": environment, "stdout": quiet, "stderr": quiet}
    with subprocess.Popen(command, start_new_session=True, **how) as process:  # noqa: S603  # our own command
        try:
            wait_for(port)
            yield process, port
        finally:
            os.killpg(process.pid, signal.SIGTERM)  # some peers leave their workers behind


def wait_for(port: int) -> None:
    """Wait until a server listens on the port, and a little longer."""
    end = time.monotonic() + READY_TIMEOUT
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                time.sleep(3)  # until all workers have started
                return
        time.sleep(0.1)
    raise TimeoutError(f"no server listens on port {port} after {READY_TIMEOUT} s")


def report(results: Sequence[Result], limits: Limits, folder: Path) -> None:
    """Print the table, and write it as JSON and as a plot."""
    table = Table(box=None)
    for head in ("Server", "Model", "Upload"):
        table.add_column(head)
    ratios = "x Flask", "x FastAPI", "Of limit"
    for head in ("Connections", "Images/s", *ratios, "p50", "p90", "p99", "CPU", "PSS", "Errors"):
        table.add_column(head, justify="right")
    for one in results:
        times = (ratio(one, results, peer) for peer in ("flask", "fastapi"))
        share = "" if one.is_photo else f"{one.images / limits[one.model, one.each]:.0%}"
        figures = (f"{value:.1f}" for value in (one.p50, one.p90, one.p99))
        counts = f"{one.cpu:.0f}", f"{one.pss:.0f}", str(one.errors)
        load = one.server, one.model, one.upload, str(one.connections), f"{one.images:.0f}"
        table.add_row(*load, *times, share, *figures, *counts)
    for (model, batch), rate in limits.items():
        table.add_row("limit", model, f"batch of {batch}", "", f"{rate:.0f}")
    Console(width=140).print(table)
    folder.mkdir(parents=True, exist_ok=True)
    rates = [{"model": model, "batch": batch, "images": rate} for (model, batch), rate in limits.items()]
    document = {"results": [asdict(one) for one in results], "limits": rates}
    (folder / "serving.json").write_text(json.dumps(document, indent=1))
    draw(results, limits[COMPARED, 1], folder / "serving.png")


def ratio(one: Result, results: Sequence[Result], peer: str) -> str:
    """Return how many times as many images a second as a peer's, uploaded to it in a form; empty without comparison."""
    base = (peer, "photo form" if one.is_photo else "multipart", one.connections)
    rates = [other.images for other in results if (other.server, other.upload, other.connections) == base]
    comparable = rates and one.upload != "many" and one.model == COMPARED
    return f"{one.images / rates[0]:.2f}" if comparable else ""


def draw(results: Sequence[Result], limit: float, path: Path) -> None:
    """Plot the images a second and the 99th percentile of latency of each server, by the number of connections."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    rates, latencies = figure.subplots(1, 2)
    lines: dict[str, list[Result]] = defaultdict(list)
    for one in results:
        if one.model == COMPARED and one.upload in ("raw", "multipart"):
            lines[f"{one.server}, {one.upload}"].append(one)
    for label, points in lines.items():
        connections = [one.connections for one in points]
        dashes = "-" if label.endswith("raw") else "--"
        rates.plot(connections, [one.images for one in points], dashes, marker="o", label=label)
        latencies.plot(connections, [one.p99 for one in points], dashes, marker="o")
    rates.axhline(limit, color="black", linewidth=1, label="the limit, without HTTP")
    rates.set(xlabel="connections", ylabel="images a second", ylim=(0, None))
    latencies.set(xlabel="connections", ylabel="p99 in milliseconds", yscale="log")
    for axes in (rates, latencies):
        axes.set_xscale("log", base=2)
        axes.set_xticks(CONCURRENCY, [str(count) for count in CONCURRENCY])
    figure.legend(loc="outside right center", frameon=False)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
