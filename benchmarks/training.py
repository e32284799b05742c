"""python -m benchmarks.training: the time to train the lecture's two networks in three ways, side by side.

Keras as the lecture wrote it, PyTorch as its tutorials teach it, and this project's fast recipes, in turn. The first
two train on all images. A recipe keeps some for validation, which is part of its time, or trains on fewer. The time is
that of the training alone; the accuracy is that on the test images afterwards. Keras needs an environment of its own:
python3 -m venv .venv-keras && .venv-keras/bin/pip install tensorflow, then --keras .venv-keras/bin/python.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np
from rich.console import Console
from rich.table import Table

from training.datasets.formats import DataError
from training.lecture import cifar_demo, fashion_demo
from training.recipes import RECIPES

LECTURE = {"mlp": fashion_demo.LECTURE_TEST.accuracy, "cnn": cifar_demo.LECTURE_TEST.accuracy}
PEERS = Path(__file__).parent / "peers"


@dataclass(frozen=True)
class Run:
    """One training by one contender."""

    network: str
    contender: str
    seed: int
    seconds: float
    epochs: int
    accuracy: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all contenders, print the table and write JSON if asked."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        _compare(options)
    except DataError as error:
        parser.exit(1, f"benchmarks.training: {error}\n")


def _compare(options: argparse.Namespace) -> None:
    """Run all contenders. Raises DataError where a data set is not there."""
    with tempfile.TemporaryDirectory() as folder:
        runs = [
            measure(network, contender, command, seed)
            for network in options.networks
            for contender, command in contenders(network, Path(folder), options).items()
            for seed in ((1, 2, 3) if contender == "Thimble" else (1,))
        ]
        whole = {network: whole_process(network, Path(folder), options.data_dir) for network in options.networks}
    Console().print(_table(runs))
    for network, seconds in whole.items():
        print(
            f"{network}: {seconds:.1f} s from start to exported file (python -m training.export lecture-{network}-fast)"
        )
    if options.json:
        options.json.write_text(json.dumps({"runs": [asdict(run) for run in runs], "whole": whole}, indent=2))


def contenders(network: str, folder: Path, options: argparse.Namespace) -> dict[str, list[str]]:
    """Return the command of each contender, without its seed."""
    data = folder / f"{network}.npz"
    source = RECIPES[f"lecture-{network}-fast"].source.load(options.data_dir)
    np.savez(
        data,
        train=source.train.pixels.numpy(),
        train_labels=source.train.labels.numpy(),
        test=source.test.pixels.numpy(),
        test_labels=source.test.labels.numpy(),
    )
    commands = {
        "PyTorch, as its tutorials": [sys.executable, str(PEERS / "pytorch_newcomer.py"), network, str(data)],
        "Thimble": [sys.executable, "-m", "benchmarks.peers.thimble_fast", network, str(options.data_dir or "")],
    }
    if options.keras:
        keras = [str(options.keras), str(PEERS / "keras_lecture.py"), network, str(data)]
        commands = {"Keras, as the lecture": keras} | commands
    return commands


def measure(network: str, contender: str, command: list[str], seed: int) -> Run:
    """Run one contender once; its last line of output has its figures."""
    done = subprocess.run([*command, str(seed)], stdout=subprocess.PIPE, text=True, check=True, env=_environment())  # noqa: S603  # our own commands
    run = Run(network, contender, seed, **json.loads(done.stdout.splitlines()[-1]))
    print(f"{network} {contender} seed {seed}: {run.seconds:.2f} s, test accuracy {run.accuracy:.4f}", file=sys.stderr)
    return run


def whole_process(network: str, folder: Path, data_dir: Path | None) -> float:
    """Return the seconds of the whole export command."""
    command = [
        sys.executable,
        "-m",
        "training.export",
        f"lecture-{network}-fast",
        "--models-dir",
        str(folder / "models"),
    ]
    if data_dir:
        command += ["--data-dir", str(data_dir)]
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=_environment())  # noqa: S603  # our own command
    return time.perf_counter() - start


def _environment() -> dict[str, str]:
    """Return the environment of all that is measured: on the processor."""
    return os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}


def _table(runs: Sequence[Run]) -> Table:
    table = Table("Network", "By", "Epochs", "Seconds", "Times as fast", "Test accuracy", "Lecture", title="Training")
    first: dict[str, float] = {}  # seconds of the first contender, by network
    for network, contender in dict.fromkeys((run.network, run.contender) for run in runs):
        own = [run for run in runs if (run.network, run.contender) == (network, contender)]
        seconds = median(run.seconds for run in own)
        reference = first.setdefault(network, seconds)
        accuracies = ", ".join(f"{run.accuracy:.4f}" for run in own)
        cells = (
            str(own[0].epochs),
            f"{seconds:.2f}",
            f"{reference / seconds:.1f}",
            accuracies,
            f"{LECTURE[network]:.4f}",
        )
        table.add_row(network, contender, *cells)
    return table


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=main.__doc__)
    parser.add_argument("--networks", nargs="+", choices=list(LECTURE), default=list(LECTURE))
    parser.add_argument("--keras", type=Path, help="the Python that has tensorflow; without it Keras is left out")
    parser.add_argument("--data-dir", type=Path, help="where to look for the data first")
    parser.add_argument("--json", type=Path, help="also write every run to this file")
    return parser


if __name__ == "__main__":
    main()
