"""A router that a person can predict: a dark image is like garments, a bright one like things."""

import json
from pathlib import Path

import numpy as np
import onnx
from msgspec import to_builtins
from onnx import TensorProto, helper
from onnx.numpy_helper import from_array

from serving.model.card import CARD_KEY, Golden
from serving.model.runtime import open_session

ROOT = Path(__file__).parents[2]
LABELS = ["Fashion-MNIST", "CIFAR-10"]
SIDE = 32
SLOPE = 100.0  # of the logit, by mean brightness between 0 and 1: it is sure


def add_router(
    folder: Path,
    name: str = "router",
    labels: list[str] | None = None,
    log_odds: float | None = None,
    side: int = SIDE,
) -> Path:
    """Write a router into a model folder; returns its file.

    log_odds: of garments, for every image: a router that looks at nothing. side: of its input, in pixels.
    """
    graph = _graph(SLOPE, SLOPE / 2, side) if log_odds is None else _graph(0.0, log_odds / 2, side)
    path = folder / name / "1" / "model.onnx"
    path.parent.mkdir(parents=True)
    helper.set_model_props(graph, {CARD_KEY: json.dumps(_card(graph, name, labels or LABELS))})
    path.write_bytes(graph.SerializeToString())
    return path


def _graph(slope: float, bias: float, side: int) -> onnx.ModelProto:
    constants = {
        "axes": np.array([1, 2, 3]),
        "weight": np.array([[-slope / 255, slope / 255]], np.float32),
        "bias": np.array([bias, -bias], np.float32),
        "shape": np.array([-1, 1]),
    }
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "axes"], ["mean"], keepdims=0),
        helper.make_node("Reshape", ["mean", "shape"], ["column"]),
        helper.make_node("Gemm", ["column", "weight", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", side, side, 3])
    probabilities = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 2])
    tensors = [from_array(value, key) for key, value in constants.items()]
    graph = helper.make_graph(nodes, "brightness", [image], [probabilities], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def _card(graph: onnx.ModelProto, name: str, labels: list[str]) -> dict[str, object]:
    """Return the committed cifar-cnn's card with what differs."""
    committed = onnx.load(ROOT / "models/cifar-cnn/2/model.onnx", load_external_data=False)
    card = json.loads({entry.key: entry.value for entry in committed.metadata_props}[CARD_KEY])
    session = open_session(graph.SerializeToString())
    golden = []
    side = session.get_inputs()[0].shape[1]
    for level in (0, 60, 250):
        pixels = np.full((side, side, 3), level, np.uint8)
        (outputs,) = session.run(["probabilities"], {"image": pixels[None]})
        golden.append(to_builtins(Golden.of(pixels, outputs[0])))
    del card["novelty"]
    dataset = "Fashion-MNIST and CIFAR-10"
    reference = {**card["reference"], "labels": [0.5, 0.5]}
    told = {"name": name, "version": "1", "dataset": dataset, "labels": labels}
    conformal = {"coverage": 0.95, "threshold": 0.1, "levels": [{"coverage": 0.95, "threshold": 0.1}]}
    return {**card, **told, "golden": golden, "reference": reference, "conformal": conformal}
