"""What the tests of training share: lookalike data, and a rehearsal of the whole export on it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from lookalikes import cifar_10, fashion_mnist, put

from training import appraisal, export
from training.datasets import CIFAR_10, FASHION_MNIST, foreign, published
from training.datasets.images import DataSet
from training.recipes import RECIPES


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep out the data that this machine may have: each test has an empty home and no other places."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("THIMBLE_DATA", raising=False)
    monkeypatch.setattr(published, "DEBIAN", tmp_path / "debian")


@pytest.fixture(scope="session", autouse=True)
def _a_few_foreign_images_and_photos() -> Iterator[None]:
    """Measure on fewer than an export does, which takes it half a minute."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (foreign, appraisal):
            patch.setattr(module, "COUNT", 60)
        patch.setattr(appraisal, "PHOTOGRAPHED", 20)
        yield


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both lookalikes, as --data-dir takes them."""
    folder = tmp_path_factory.mktemp("data")
    put(folder / "fashion-mnist", fashion_mnist(train=400, test=150))
    put(folder / "cifar-10-batches-bin", cifar_10(batch=80))
    return folder


@pytest.fixture(scope="session")
def garments(data_dir: Path) -> DataSet:
    """The lookalike of Fashion-MNIST in memory."""
    return FASHION_MNIST.load(data_dir)


@pytest.fixture(scope="session")
def things(data_dir: Path) -> DataSet:
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
        return export.main([*arguments, "--data-dir", str(data_dir), "--models-dir", str(models)])

    return run


@pytest.fixture(scope="session")
def rehearsal(run_export: Callable[..., int], tmp_path_factory: pytest.TempPathFactory) -> Rehearsal:
    """Every recipe, exported once: only to be read."""
    models = tmp_path_factory.mktemp("rehearsal") / "models"
    teachers_first = sorted(RECIPES, key=lambda name: RECIPES[name].teacher is not None)
    return Rehearsal(run_export(models, *teachers_first, "--limit", "200", "--epochs", "1"), models)
