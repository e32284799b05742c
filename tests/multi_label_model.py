"""A multi-label model made of a committed one: its rows do not sum to 1, and the thresholds of its labels differ."""

import json
from pathlib import Path

import onnx
from msgspec import to_builtins
from onnx import helper

from serving.model.card import CARD_KEY, INPUT, Golden, ModelCard
from serving.model.runtime import open_session

NAME = "several"
# Images of ankle boots are sneakers too, and images of bags have no label at all.
THRESHOLDS = {"Sneaker": 0.05, "Bag": 1.0}


def write_multi_label(models: Path, folder: Path, **fields: object) -> Path:
    """Write the model into a model folder; fields: of its card. Returns the file."""
    graph = onnx.load(next((models / "fashion-mlp").glob("*/model.onnx")))
    for node in graph.graph.node:
        node.output[:] = ["before" if name == "probabilities" else name for name in node.output]
    graph.graph.node.append(helper.make_node("Sqrt", ["before"], ["probabilities"]))
    old = ModelCard.from_metadata({entry.key: entry.value for entry in graph.metadata_props})
    session, golden = open_session(graph.SerializeToString()), []
    for pixels in (sample.pixels() for sample in old.golden):
        probabilities, novelty = session.run(["probabilities", "novelty"], {INPUT: pixels[None]})
        golden.append(Golden.of(pixels, probabilities[0], float(novelty[0])))
    task = {"kind": "multi-label", "thresholds": [THRESHOLDS.get(label, 0.5) for label in old.labels]}
    card = {"name": NAME, "version": "1", "golden": to_builtins(golden), "task": task}
    helper.set_model_props(graph, {CARD_KEY: json.dumps(to_builtins(old) | card | fields)})
    file = folder / NAME / "1" / "model.onnx"
    file.parent.mkdir(parents=True)
    file.write_bytes(graph.SerializeToString())
    return file
