"""Model files that keep the contract and model files that don't, made from the committed ones."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from serving.contract import CARD_KEY

Edit = Callable[[onnx.ModelProto], None]
Forge = Callable[..., Path]


def read_card(model: onnx.ModelProto) -> dict[str, Any]:
    return json.loads({entry.key: entry.value for entry in model.metadata_props}[CARD_KEY])


def write_card(model: onnx.ModelProto, text: str) -> None:
    onnx.helper.set_model_props(model, {CARD_KEY: text})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an empty folder of models."""
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


@pytest.fixture
def forge(models: Path, folder: Path) -> Forge:
    """Return a maker of model files: a committed model with other card fields, an edited graph, or both."""

    def make(place: str = "fashion-mlp/1", *, of: str = "fashion-mlp", edit: Edit | None = None, **fields: Any) -> Path:
        name, version = place.split("/")
        model = onnx.load(models / of / "1" / "model.onnx")
        card = {**read_card(model), "name": name, "version": version, **fields}
        write_card(model, json.dumps(card))
        if edit:
            edit(model)
        path = folder / place / "model.onnx"
        path.parent.mkdir(parents=True)
        path.write_bytes(model.SerializeToString())
        return path

    return make
