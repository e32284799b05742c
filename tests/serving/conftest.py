"""Model files made from the committed ones: some keep the contract, others break it."""

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest
from cards import read_card, write_card

Edit = Callable[[onnx.ModelProto], None]
Forge = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an empty model folder."""
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


@pytest.fixture
def forge(models: Path, folder: Path) -> Forge:
    """Return a maker of model files: a committed model with other card fields, an edited graph, or both."""

    def make(place: str = "fashion-mlp/1", *, of: str = "fashion-mlp", edit: Edit | None = None, **fields: Any) -> Path:
        name, version = place.split("/")
        model = onnx.load(models / of / "2" / "model.onnx")
        card = {**read_card(model), "name": name, "version": version, **fields}
        write_card(model, card)
        if edit:
            edit(model)
        path = folder / place / "model.onnx"
        path.parent.mkdir(parents=True)
        path.write_bytes(model.SerializeToString())
        return path

    return make


@pytest.fixture
def while_waiting(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Call something whenever a request yields to others; other threads keep their clock."""

    def arrange(act: Callable[[], object]) -> None:
        clock = SimpleNamespace(sleep=lambda _: act(), monotonic=time.monotonic)
        monkeypatch.setattr("serving.inference.admission.time", clock)

    return arrange
