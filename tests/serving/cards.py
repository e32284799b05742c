"""Read and write the card of an ONNX graph in memory, valid or not."""

import json
from typing import Any

import onnx
from msgspec import convert, to_builtins

from serving.model.card import CARD_KEY, INPUT, Golden
from serving.model.runtime import open_session


def read_card(model: onnx.ModelProto) -> dict[str, Any]:
    return json.loads({entry.key: entry.value for entry in model.metadata_props}[CARD_KEY])


def write_card(model: onnx.ModelProto, card: dict[str, Any]) -> None:
    onnx.helper.set_model_props(model, {CARD_KEY: json.dumps(card)})


def without_novelty(model: onnx.ModelProto) -> None:
    """Remove the novelty from a card."""
    card = read_card(model)
    del card["novelty"]
    write_card(model, card)


def renew_golden(model: onnx.ModelProto) -> None:
    """Record the graph's own outputs as the expected ones of its golden samples."""
    card, session = read_card(model), open_session(model.SerializeToString())
    samples = [convert(sample, Golden).pixels() for sample in card["golden"]]
    outputs = [session.run(["probabilities", "novelty"], {INPUT: pixels[None]}) for pixels in samples]
    golden = [
        Golden.of(pixels, probabilities[0], float(novelty[0]))
        for pixels, (probabilities, novelty) in zip(samples, outputs, strict=True)
    ]
    write_card(model, {**card, "golden": to_builtins(golden)})
