"""The load generator wrk, and the processor time and memory that a server uses under it."""

import os
import re
import statistics
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.uploads import sample_png

IMAGES_PER_LARGE_REQUEST = 64
BOUNDARY = "thimble-benchmark"
SMALL_UPLOADS = ("raw", "multipart", "many")  # PNGs of the input's size
PHOTO_UPLOADS = ("photo", "photo form")  # phone photos, as the body and in a form


@dataclass(frozen=True)
class Load:
    """The load: the kind of upload, and the number of connections."""

    upload: str
    connections: int

    @property
    def images(self) -> int:
        """The number of images in a request."""
        return IMAGES_PER_LARGE_REQUEST if self.upload == "many" else 1

    def __str__(self) -> str:
        return f"{self.upload} x {self.connections}"


@dataclass(frozen=True)
class Result:
    """The figures of a server: images a second, milliseconds a request, CPU microseconds an image, and errors."""

    server: str
    model: str
    upload: str
    connections: int
    images: float
    p50: float
    p90: float
    p99: float
    cpu: float
    pss: float
    errors: int

    @property
    def each(self) -> int:
        """The number of images in a request."""
        return Load(self.upload, self.connections).images

    @property
    def is_photo(self) -> bool:
        return self.upload in PHOTO_UPLOADS


def write_scripts(folder: Path, shape: tuple[int, int, int], photo: bytes) -> dict[str, Path]:
    """Write wrk's script for each kind of upload: PNGs of this height, width and channels, and a photo."""
    folder.mkdir(parents=True, exist_ok=True)
    png = sample_png(shape)
    part, end = _part(png, "png"), f"--{BOUNDARY}--\r\n".encode()
    form = f"multipart/form-data; boundary={BOUNDARY}"
    bodies = {
        "raw": (png, "image/png"),
        "multipart": (part + end, form),
        "many": (part * IMAGES_PER_LARGE_REQUEST + end, form),
        "photo": (photo, "image/jpeg"),
        "photo form": (_part(photo, "jpeg") + end, form),
    }
    scripts = {}
    for upload, (body, kind) in bodies.items():
        (folder / upload).write_bytes(body)
        scripts[upload] = folder / f"{upload}.lua"
        scripts[upload].write_text(
            f'wrk.method = "POST"\nlocal file = io.open("{folder / upload}", "rb")\nwrk.body = file:read("*a")\n'
            f'wrk.headers["Content-Type"] = "{kind}"\n'
        )
    return scripts


def _part(content: bytes, kind: str) -> bytes:
    """Return a file as a part of a form."""
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.{kind}"\r\n'
        f"Content-Type: image/{kind}\r\n\r\n"
    )
    return head.encode() + content + b"\r\n"


def run_wrk(
    server: str, model: str, pid: int, url: str, load: Load, scripts: Mapping[str, Path], seconds: int
) -> Result:
    """Run wrk once, after a second to warm up."""
    count = load.connections
    wrk = ["wrk", "-t1", f"-c{count}", "--latency", "--timeout", "10s", "-s", str(scripts[load.upload])]
    subprocess.run([*wrk, "-d1s", url], check=True, capture_output=True)  # noqa: S603  # our own command
    before = cpu_seconds(pid)
    text = subprocess.run([*wrk, f"-d{seconds}s", url], check=True, capture_output=True, text=True).stdout  # noqa: S603
    used = cpu_seconds(pid) - before
    requests = int(re.search(r"(\d+) requests in", text)[1])  # type: ignore[index]
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]) * load.images  # type: ignore[index]
    p50, p90, p99 = (milliseconds(text, percent) for percent in (50, 90, 99))
    refused = sum(map(int, re.findall(r"Non-2xx or 3xx responses: (\d+)", text)))
    broken = sum(sum(map(int, re.findall(r"\d+", line))) for line in re.findall(r"Socket errors:.*", text))
    answered = max(1, requests - refused)
    cpu, rate = 1e6 * used / (answered * load.images), rate * answered / max(1, requests)
    return Result(server, model, load.upload, count, rate, p50, p90, p99, cpu, pss(pid), refused + broken)


def milliseconds(text: str, percent: int) -> float:
    """Return a percentile of wrk's report."""
    value, unit = re.search(rf"{percent}%\s+([\d.]+)(us|ms|s)", text).groups()  # type: ignore[union-attr]
    return float(value) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[unit]


def process_tree(pid: int) -> Iterator[int]:
    """Yield a process and all its descendants."""
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            yield from process_tree(int(child))


def cpu_seconds(pid: int) -> float:
    """Return the processor time that a process and all its descendants have used."""
    ticks = 0
    for one in process_tree(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def pss(pid: int) -> float:
    """Return the proportional set size of a process and all its descendants, in megabytes."""
    rollups = [Path(f"/proc/{one}/smaps_rollup").read_text() for one in process_tree(pid)]
    return sum(int(size) for text in rollups for size in re.findall(r"^Pss:\s+(\d+)", text, re.MULTILINE)) / 1024


def medians(results: Sequence[Result]) -> Result:
    """Return the median of each figure, and all errors."""
    figures = ("images", "p50", "p90", "p99", "cpu", "pss")
    values = {name: statistics.median(getattr(result, name) for result in results) for name in figures}
    errors = sum(result.errors for result in results)
    return Result(
        results[0].server, results[0].model, results[0].upload, results[0].connections, errors=errors, **values
    )
