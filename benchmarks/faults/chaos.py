"""python -m benchmarks.faults.chaos: break what is around a service under load; say what was tried and what was lost.

A request is lost when it was connected and got no answer, or another than 200. Of a killed worker, the requests that
had begun are its own; in all other trials none may be lost.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from benchmarks.faults.load import LoadClients
from benchmarks.faults.pictures import pictures
from benchmarks.faults.requests import form, raw
from benchmarks.faults.service import ROOT, START_TIMEOUT, Request, ready_workers, running, wait_until

DISK_BYTES = 256 * 1024


class Plan(NamedTuple):
    """How to try: the model folder, the number of clients, and the seconds of load before and after each fault."""

    models: Path
    clients: int
    seconds: float

    def requests(self) -> list[Request]:
        """Return what is asked: images that the event loop decodes, and that the decoders do."""
        files = pictures()
        return [raw(files["png"]), raw(files["webp"]), form([files["jpeg"], files["gif"]])]


class Verdict(NamedTuple):
    """What a trial found, in words, and how much was lost."""

    words: str
    lost: int


def kill_worker(plan: Plan, folder: Path) -> Verdict:
    """SIGKILL a worker: only requests that it had may fail, once for each client; another takes its place."""
    with (
        running(plan.models, log := folder / "log") as service,
        LoadClients(service, plan.requests(), plan.clients) as load,
    ):
        wait_until(lambda: len(ready_workers(log)) == len(service.workers()), START_TIMEOUT, "a worker is not ready")
        time.sleep(plan.seconds)
        before = service.workers()
        os.kill(min(before), signal.SIGKILL)
        killed = time.monotonic()
        wait_until(lambda: min(before) not in service.workers(), START_TIMEOUT, "the killed worker is still there")
        gone = time.monotonic()
        wait_until(lambda: bool(ready_workers(log) - before), START_TIMEOUT, "no new worker is ready")
        ready = time.monotonic() - killed
        time.sleep(plan.seconds)
    own = [one for one in load.lost() if one.began <= gone]
    lost = len(load.lost()) - len(own) + max(0, len(own) - plan.clients)
    return Verdict(f"{load}, {len(own)} of its own failed, two workers again after {ready:.1f} s", lost)


def terminate(plan: Plan, folder: Path) -> Verdict:
    """SIGTERM: every request that was connected is answered, and the exit status is 0."""
    with running(plan.models, folder / "log") as service, LoadClients(service, plan.requests(), plan.clients) as load:
        time.sleep(plan.seconds)
        start = time.monotonic()
        status = service.stop()
        seconds = time.monotonic() - start
    return Verdict(f"{load}, exit status {status} after {seconds:.1f} s",
                   len(load.lost()) + int(status != 0))  # fmt: skip


def models_away(plan: Plan, folder: Path) -> Verdict:
    """The model folder disappears and comes back: what is loaded still answers."""
    link = folder / "models"
    link.symlink_to(plan.models.resolve())
    with (
        running(link, folder / "log", poll_seconds="0.2") as service,
        LoadClients(service, plan.requests(), plan.clients) as load,
    ):
        time.sleep(plan.seconds)
        link.rename(folder / "away")
        time.sleep(plan.seconds)
        without = service.is_ready()
        (folder / "away").rename(link)
        time.sleep(plan.seconds)
        ready = service.is_ready()
    return Verdict(f"{load}, ready without it: {without}, ready with it again: {ready}",
                   len(load.lost()) + int(not ready))  # fmt: skip


def disk_full(plan: Plan, folder: Path) -> Verdict:
    """The disk of the log is full: requests are still answered, and the log goes on once there is room."""
    if os.geteuid() != 0:
        return Verdict("skipped: only root may mount a small disk", 0)
    with small_disk(folder / "disk") as disk:
        with (
            running(plan.models, log := disk / "log") as service,
            LoadClients(service, plan.requests(), plan.clients) as load,
        ):
            fill(disk / "filler")
            time.sleep(2 * plan.seconds)
            full, written = len(load.outcomes), log.stat().st_size
            (disk / "filler").unlink()
            wait_until(lambda: log.stat().st_size > written, START_TIMEOUT, "the log does not go on")
        return Verdict(f"{load}, {full} of them with a full disk; the log went on", len(load.lost()))


def stalled_log(plan: Plan, folder: Path) -> Verdict:
    """Nobody reads the log: requests are answered, and the end is not held up."""
    os.mkfifo(pipe := folder / "log")
    reader = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)  # it never reads
    with running(plan.models, pipe) as service:
        with suppress(BlockingIOError):
            while os.write(reader, bytes(1)):
                pass  # until the pipe is full
        with LoadClients(service, plan.requests(), plan.clients) as load:
            time.sleep(2 * plan.seconds)
        metrics = service.ask(Request("GET", "/metrics")).body.decode()
        dropped = metrics.partition("\nthimble_log_dropped_lines_total ")[2].partition("\n")[0]
        status = service.stop()
    os.close(reader)
    return Verdict(f"{load}, {float(dropped or 0):.0f} lines dropped, exit status {status}",
                   len(load.lost()) + int(status != 0))  # fmt: skip


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a disk of DISK_BYTES, in memory, for as long as the block runs."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    subprocess.run(mount, check=True)  # noqa: S603  # our own command
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)  # noqa: S603, S607  # our own command


def fill(file: Path) -> None:
    """Write until the disk has no room."""
    with file.open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(bytes(4096))
        except OSError:
            return


TRIALS: Mapping[str, Callable[[Plan, Path], Verdict]] = {
    "worker killed": kill_worker,
    "SIGTERM": terminate,
    "model folder away": models_away,
    "disk full": disk_full,
    "log stalled": stalled_log,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit status is 1 where something was lost."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults.chaos", description="Break what is around.")
    parser.add_argument("--seconds", type=float, default=5.0, help="of load before and after each fault; default 5")
    parser.add_argument("--clients", type=int, default=8, help="default 8")
    parser.add_argument("--models", type=Path, default=ROOT / "models", help="default models")
    parser.add_argument("--only", nargs="*", choices=TRIALS, default=list(TRIALS), metavar="TRIAL", help="default: all")
    options = parser.parse_args(arguments)
    plan, lost = Plan(options.models, options.clients, options.seconds), 0
    for name in options.only:
        with tempfile.TemporaryDirectory() as folder:
            try:
                verdict = TRIALS[name](plan, Path(folder))
            except (TimeoutError, subprocess.SubprocessError) as error:
                verdict = Verdict(str(error), 1)
        print(f"{name}: {verdict.words}; lost {verdict.lost}", flush=True)
        lost += verdict.lost
    return int(lost > 0)


if __name__ == "__main__":
    sys.exit(main())
