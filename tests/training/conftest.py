"""The fixtures that all tests of training share: lookalike data, and a rehearsal of the whole export on it."""

import fcntl
import os
import sys
from collections.abc import Callable, Iterator
from functools import cache, wraps
from pathlib import Path
from typing import Any

import pytest
import torch
from lookalikes import cifar_10, fashion_mnist, put
from matplotlib.figure import Figure
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits
from torch.export import decomp_utils, exported_program
from torch.onnx._internal.exporter._registration import ONNXRegistry

from training import evaluate, export
from training.datasets import download
from training.datasets.builtin import CIFAR_10, FASHION_MNIST
from training.datasets.labelled import TrainTest
from training.sample_sizes import SampleSizes

FEW = SampleSizes(ood_set=30, photos=10, corrupted=1)  # an export takes more, which takes half a minute


COSTLY = {"rehearsal", "finished"}  # session fixtures that take seconds


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of a costly fixture."""
    for item in items:
        if COSTLY & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.trains)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Have PyTorch and SciPy compute in one thread: for small networks a second costs more than it brings."""
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session", autouse=True)
def _untraced_libraries() -> Iterator[None]:
    """Do not trace exporter, plots and regressions for coverage, which would take half as long again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.onnx, "export", _untraced(torch.onnx.export))
        patch.setattr(Figure, "savefig", _untraced(Figure.savefig))
        patch.setattr(LogisticRegression, "fit", _untraced(LogisticRegression.fit))
        yield


@pytest.fixture(scope="session", autouse=True)
def _one_registry() -> Iterator[None]:
    """Have the exporter read its lists of operators once, which takes two thirds of the time of a small export."""
    composite = cache(exported_program._collect_all_valid_cia_ops)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(cache(ONNXRegistry.from_torchlib)))
        for module in (exported_program, decomp_utils):
            patch.setattr(module, "_collect_all_valid_cia_ops", composite)
        yield


def _untraced(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        trace = sys.gettrace()
        sys.settrace(None)
        try:
            return function(*args, **options)
        finally:
            sys.settrace(trace)

    return call


@pytest.fixture(autouse=True)
def _isolated_from_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide the data that this machine may have: each test has an empty home and no other places."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("THIMBLE_DATA", raising=False)
    monkeypatch.setattr(download, "DEBIAN", tmp_path / "debian")


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both lookalikes, as --data-dir takes them."""
    folder = tmp_path_factory.mktemp("data")
    put(folder / "fashion-mnist", fashion_mnist(train=400, test=150))
    put(folder / "cifar-10-batches-bin", cifar_10(batch=80))
    return folder


@pytest.fixture(scope="session")
def garments(data_dir: Path) -> TrainTest:
    """The lookalike of Fashion-MNIST in memory."""
    return FASHION_MNIST.load(data_dir)


@pytest.fixture(scope="session")
def things(data_dir: Path) -> TrainTest:
    """The lookalike of CIFAR-10 in memory."""
    return CIFAR_10.load(data_dir)


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], None]], Path]:
    """Build a folder, once for all processes of pytest-xdist; it is only to be read."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def build_once(name: str, build: Callable[[Path], None]) -> Path:
        folder, unfinished = shared / name, shared / f"unfinished-{name}"
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                unfinished.mkdir()
                build(unfinished)
                unfinished.rename(folder)
        return folder

    return build_once


@pytest.fixture(scope="session")
def run_export(data_dir: Path) -> Callable[..., int]:
    """Run training.export on the lookalikes; returns its exit status."""

    def run(models: Path, *arguments: str) -> int:
        return export.main([*arguments, "--data-dir", str(data_dir), "--models-dir", str(models)], FEW)

    return run


@pytest.fixture(scope="session")
def run_evaluate() -> Callable[..., int]:
    """Run training.evaluate; returns its exit status."""
    return lambda *arguments: evaluate.main(list(map(str, arguments)), FEW)


@pytest.fixture(scope="session")
def rehearsal(run_export: Callable[..., int], once: Callable[..., Path]) -> Callable[[str], Path]:
    """Export a recipe in one epoch; returns the folder of models with it alone."""

    def export_recipe(name: str) -> Path:
        def build(models: Path) -> None:
            # In float32: whether int8 pays depends on the machine's speed, and to find out takes ten seconds.
            assert run_export(models, name, "--limit", "100", "--epochs", "1", "--float") == 0

        return once(f"rehearsal-{name}", build)

    return export_recipe
