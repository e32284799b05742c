"""The fixtures that all tests of training share: lookalike data, and a rehearsal of the whole export on it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from lookalikes import cifar_10, fashion_mnist, put

from training import evaluate, export
from training.datasets import download
from training.datasets.builtin import CIFAR_10, FASHION_MNIST
from training.datasets.labelled import TrainTest
from training.evaluation.evaluate_graph import SampleSizes
from training.recipes import RECIPES

FEW = SampleSizes(ood_set=60, photos=20)  # an export takes more, which takes half a minute


COSTLY = ("rehearsal", "finished")  # session fixtures that take ten seconds and more


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests of a costly fixture; keep them, and otherwise each file's tests, in one worker of pytest-xdist."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            costly = [name for name in COSTLY if name in getattr(item, "fixturenames", ())]
            if costly:
                item.add_marker(pytest.mark.trains)
            if config.pluginmanager.hasplugin("xdist"):
                item.add_marker(pytest.mark.xdist_group(costly[0] if costly else item.path.name))


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Have PyTorch compute in one thread: for small networks a second costs more than it brings."""
    torch.set_num_threads(1)


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


@dataclass(frozen=True)
class Rehearsal:
    """A finished run of training.export."""

    status: int
    models: Path


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
def rehearsal(run_export: Callable[..., int], tmp_path_factory: pytest.TempPathFactory) -> Rehearsal:
    """Every recipe, exported once: only to be read."""
    models = tmp_path_factory.mktemp("rehearsal") / "models"
    teachers_first = sorted(RECIPES, key=lambda name: RECIPES[name].teacher is not None)
    return Rehearsal(run_export(models, *teachers_first, "--limit", "200", "--epochs", "1"), models)
