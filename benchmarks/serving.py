"""python -m benchmarks.serving: this service beside what else one would take, and beside the limit of the machine.

Each server has two worker processes and classifies PNGs of the input's size with the same graph, cifar-cnn. One load
generator, wrk, asks them one after the other, round by round; a figure is the median of its rounds. The limit is the
same decoding, onnxruntime and JSON in a loop of two processes, with no HTTP. Ratios count: absolute figures are of one
machine on one day. The peers, written as their documentation teaches, run in environments of their own, which
--install makes in build/peers.

wrk is Debian's package of that name. p50, p90, p99: milliseconds. CPU: microseconds of the server's an image. PSS: the
memory of all its processes, in megabytes.
"""

import argparse
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.limit import images_per_second
from serving.png import to_png

ROOT = Path(__file__).parent.parent
PEERS = Path(__file__).parent / "peers"
ENVIRONMENTS = ROOT / "build" / "peers"
SIDE = 32
MANY = 64  # images of a large request
BOUNDARY = "thimble-benchmark"
CONCURRENCY = (1, 8, 32, 64)
READY_SECONDS = 60

NEEDS = {
    "flask": ["flask", "gunicorn", "onnxruntime", "pillow", "numpy"],
    "fastapi": ["fastapi", "uvicorn[standard]", "python-multipart", "onnxruntime", "pillow", "numpy"],
    "litserve": ["litserve", "python-multipart", "onnxruntime", "pillow", "numpy"],
    "bentoml": ["bentoml", "onnxruntime", "pillow", "numpy"],
}


@dataclass(frozen=True)
class Server:
    """How a server is started, PORT standing for its port, and where it takes which kind of upload."""

    name: str
    command: tuple[str, ...]
    paths: Mapping[str, str]
    environment: str | None = None


@dataclass(frozen=True)
class Load:
    """What wrk asks: the kind of upload, and how many connections ask at once."""

    upload: str
    connections: int


@dataclass(frozen=True)
class Result:
    """What a server gave: images in a second, milliseconds a request, CPU microseconds an image, and errors."""

    server: str
    upload: str
    connections: int
    images: float
    p50: float
    p90: float
    p99: float
    cpu: float
    pss: float
    errors: int


def servers(model: str) -> list[Server]:
    """Return this service and its peers."""
    own = f"/classify?model={model}"
    return [
        Server("thimble", (sys.executable, "-m", "serving", "--port", "PORT", "--workers", "2"),
               {"raw": own, "multipart": own, "many": own}),
        Server("flask", ("gunicorn", "-w", "2", "-b", "127.0.0.1:PORT", "flask_tutorial:app"),
               {"multipart": "/predict", "many": "/predict"}, "flask"),
        Server("fastapi", ("uvicorn", "fastapi_server:app", "--workers", "2", "--port", "PORT", "--no-access-log"),
               {"raw": "/raw", "multipart": "/predict", "many": "/predict"}, "fastapi"),
        Server("litserve", ("python", "litserve_server.py", "PORT"), {"multipart": "/predict"}, "litserve"),
        Server("bentoml", ("bentoml", "serve", "bentoml_server:Classifier", "--port", "PORT"),
               {"multipart": "/predict"}, "bentoml"),
    ]  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write the table, the JSON and the plot."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description="Compare servers under load.")
    parser.add_argument("--install", action="store_true", help="make the peers' environments first")
    parser.add_argument("--only", nargs="*", default=["thimble", *NEEDS], metavar="SERVER", help="default: all")
    parser.add_argument("--model", default="cifar-cnn", help="of this service; the peers always serve cifar-cnn")
    parser.add_argument("--seconds", type=int, default=4, help="of each round (default 4)")
    parser.add_argument("--rounds", type=int, default=3, help="default 3")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "serving", help="default build/serving")
    options = parser.parse_args(arguments)
    if options.install:
        install([name for name in options.only if name in NEEDS])
    chosen = [server for server in servers(options.model) if server.name in options.only]
    with tempfile.TemporaryDirectory() as folder:
        scripts = write_scripts(Path(folder))
        results = measure(chosen, scripts, options.seconds, options.rounds)
    limits = {size: images_per_second(ROOT / "models", options.model, size) for size in (1, MANY)}
    report(results, limits, options.out)


def install(names: Sequence[str]) -> None:
    """Make an environment for each peer."""
    for name in names:
        folder = ENVIRONMENTS / name
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)  # noqa: S603  # our own command
        subprocess.run([folder / "bin/pip", "install", "--quiet", *NEEDS[name]], check=True)  # noqa: S603  # the same


def write_scripts(folder: Path) -> dict[str, Path]:
    """Write what wrk is to send for each kind of upload."""
    small = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    png = to_png(np.asarray(Image.fromarray(small).resize((SIDE, SIDE), Image.Resampling.BICUBIC)))
    part = (
        (
            f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n'
            "Content-Type: image/png\r\n\r\n"
        ).encode()
        + png
        + b"\r\n"
    )
    end = f"--{BOUNDARY}--\r\n".encode()
    form = f"multipart/form-data; boundary={BOUNDARY}"
    bodies = {"raw": (png, "image/png"), "multipart": (part + end, form), "many": (part * MANY + end, form)}
    scripts = {}
    for upload, (body, kind) in bodies.items():
        (folder / upload).write_bytes(body)
        scripts[upload] = folder / f"{upload}.lua"
        scripts[upload].write_text(
            f'wrk.method = "POST"\nlocal file = io.open("{folder / upload}", "rb")\nwrk.body = file:read("*a")\n'
            f'wrk.headers["Content-Type"] = "{kind}"\n'
        )
    return scripts


def measure(chosen: Sequence[Server], scripts: Mapping[str, Path], seconds: int, rounds: int) -> list[Result]:
    """Ask each server in turn, round by round, and return the median of each figure."""
    loads = [Load("raw", count) for count in CONCURRENCY] + [Load("multipart", 32), Load("many", 8)]
    found: dict[tuple[str, Load], list[Result]] = {}
    for number in range(rounds):
        for server in chosen:
            with running(server) as (process, port):
                for load in loads:
                    if path := server.paths.get(load.upload):
                        print(f"round {number + 1}: {server.name} {load.upload} x {load.connections}", file=sys.stderr)
                        url = f"http://127.0.0.1:{port}{path}"
                        result = ask(server.name, process.pid, url, load, scripts[load.upload], seconds)
                        found.setdefault((server.name, load), []).append(result)
    return [middle(results) for results in found.values()]


@contextmanager
def running(server: Server) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Start a server, wait until it takes connections and has warmed up, and stop it in the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [part.replace("PORT", str(port)) for part in server.command]
    if server.environment:
        command[0] = str(ENVIRONMENTS / server.environment / "bin" / command[0])
    environment = os.environ | {
        "THIMBLE_MODELS": str(ROOT / "models"),
        "THIMBLE_PEER_MODEL": str(ROOT / "models/cifar-cnn/1/model.onnx"),
    }
    folder = PEERS if server.environment else ROOT
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=quiet, stderr=quiet) as process:  # noqa: S603
        try:
            wait_for(port)
            yield process, port
        finally:
            process.terminate()


def wait_for(port: int) -> None:
    """Return when something listens there, and a little later."""
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                time.sleep(4)  # until all workers are there
                return
        time.sleep(0.1)
    raise TimeoutError(f"nothing listens on port {port}")


def ask(name: str, pid: int, url: str, load: Load, script: Path, seconds: int) -> Result:
    """Run wrk once, after a second to warm up."""
    count = load.connections
    wrk = ["wrk", "-t1", f"-c{count}", "--latency", "--timeout", "10s", "-s", str(script)]
    subprocess.run([*wrk, "-d1s", url], check=True, capture_output=True)  # noqa: S603  # our own command
    before = cpu_seconds(pid)
    text = subprocess.run([*wrk, f"-d{seconds}s", url], check=True, capture_output=True, text=True).stdout  # noqa: S603
    used = cpu_seconds(pid) - before
    each = MANY if load.upload == "many" else 1
    requests = int(re.search(r"(\d+) requests in", text)[1])  # type: ignore[index]
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]) * each  # type: ignore[index]
    p50, p90, p99 = (milliseconds(text, percent) for percent in (50, 90, 99))
    refused = sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", text)))
    broken = sum(sum(map(int, re.findall(r"\d+", line))) for line in re.findall(r"Socket errors:.*", text))
    answered = max(1, requests - refused)
    cpu, rate = 1e6 * used / (answered * each), rate * answered / max(1, requests)
    return Result(name, load.upload, count, rate, p50, p90, p99, cpu, pss(pid), refused + broken)


def milliseconds(text: str, percent: int) -> float:
    """Return a percentile of wrk's report."""
    value, unit = re.search(rf"{percent}%\s+([\d.]+)(us|ms|s)", text).groups()  # type: ignore[union-attr]
    return float(value) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]


def family(pid: int) -> Iterator[int]:
    """Yield a process and all below it."""
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            yield from family(int(child))


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process and all below it have used."""
    ticks = 0
    for one in family(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def pss(pid: int) -> float:
    """Return the proportional set size of a process and all below it, in megabytes."""
    rollups = [Path(f"/proc/{one}/smaps_rollup").read_text() for one in family(pid)]
    return sum(int(size) for text in rollups for size in re.findall(r"^Pss:\s+(\d+)", text, re.MULTILINE)) / 1024


def middle(results: Sequence[Result]) -> Result:
    """Return the median of each figure, and all errors."""
    figures = ("images", "p50", "p90", "p99", "cpu", "pss")
    values = {name: statistics.median(getattr(result, name) for result in results) for name in figures}
    errors = sum(result.errors for result in results)
    return Result(results[0].server, results[0].upload, results[0].connections, errors=errors, **values)


def report(results: Sequence[Result], limits: Mapping[int, float], folder: Path) -> None:
    """Print the table; write it as JSON, and a plot of it."""
    base = next((one.images for one in results if (one.server, one.upload) == ("flask", "multipart")), None)
    heads = (
        "Server",
        "Upload",
        "At once",
        "Images/s",
        "x Flask",
        "Of limit",
        "p50",
        "p90",
        "p99",
        "CPU",
        "PSS",
        "Errors",
    )
    table = Table(*heads, title="Two workers, cifar-cnn")
    for column in table.columns[2:]:
        column.justify = "right"
    for one in results:
        ratio = "" if base is None or one.upload == "many" else f"{one.images / base:.2f}"
        share = f"{one.images / limits[MANY if one.upload == 'many' else 1]:.0%}"
        waits = (f"{value:.1f}" for value in (one.p50, one.p90, one.p99))
        counts = f"{one.cpu:.0f}", f"{one.pss:.0f}", str(one.errors)
        table.add_row(one.server, one.upload, str(one.connections), f"{one.images:.0f}", ratio, share, *waits, *counts)
    for size, rate in limits.items():
        table.add_row("limit", f"{size} an array", "2", f"{rate:.0f}", *[""] * 8)
    Console(width=130).print(table)
    folder.mkdir(parents=True, exist_ok=True)
    document = {"results": [asdict(one) for one in results], "limits": limits}
    (folder / "serving.json").write_text(json.dumps(document, indent=1))
    draw(results, limits, folder / "serving.png")


def draw(results: Sequence[Result], limits: Mapping[int, float], path: Path) -> None:
    """Plot images in a second of each server, by the kind of upload."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots()
    single = [one for one in results if one.upload != "many" and one.connections == 32]
    axes.barh([f"{one.server}, {one.upload}" for one in single], [one.images for one in single])
    axes.axvline(limits[1], color="black", linestyle="--", label="the limit, without HTTP")
    axes.invert_yaxis()
    axes.set(xlabel="images in a second, 32 connections")
    axes.legend()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
