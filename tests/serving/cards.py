"""Read and write the card of an ONNX graph in memory, valid or not."""

import json
from typing import Any

import onnx

from serving.model.card import CARD_KEY


def read_card(model: onnx.ModelProto) -> dict[str, Any]:
    return json.loads({entry.key: entry.value for entry in model.metadata_props}[CARD_KEY])


def write_card(model: onnx.ModelProto, card: dict[str, Any]) -> None:
    onnx.helper.set_model_props(model, {CARD_KEY: json.dumps(card)})


def without_novelty(model: onnx.ModelProto) -> None:
    """Remove the novelty from a card."""
    card = read_card(model)
    del card["novelty"]
    write_card(model, card)
