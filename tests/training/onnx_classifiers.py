"""Small ONNX classifiers as others write them, with random weights."""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CLASSES, FEATURES, SIDE = 5, 8, 16
MEANS = "means"  # the name of what the last layer learns from, in the whole graph

WEIGHTS = {
    "kernel": (FEATURES, 3, 3, 3),
    "rows": (FEATURES, CLASSES),
    "columns": (CLASSES, FEATURES),
    "point": (CLASSES, FEATURES, 1, 1),
    "bias": (CLASSES,),
}
# How a classifier may end: from "maps" [n, features, h, w] or their means to "logits".
ENDINGS = {
    "gemm": [("Gemm", [MEANS, "columns", "bias"], {"transB": 1})],
    "matmul": [("MatMul", [MEANS, "rows"], {}), ("Add", ["before", "bias"], {})],
    "point": [("Conv", ["maps", "point"], {}), ("GlobalAveragePool", ["before"], {}), ("Flatten", ["before"], {})],
    "sum": [("Add", [MEANS, MEANS], {})],
    "one image": [("Reshape", [MEANS, "shape"], {}), ("Gemm", ["before", "rows"], {})],
}


def classifier(
    ending: str = "gemm", channels_last: bool = False, uint8: bool = False, opset: int = 17, domain: str = ""
) -> onnx.ModelProto:
    """Return a convolution, the means of its maps, and a last layer; domain: of its nonlinearity."""
    rng = np.random.default_rng(0)
    weights = [numpy_helper.from_array(rng.normal(size=of).astype(np.float32), name) for name, of in WEIGHTS.items()]
    weights.append(numpy_helper.from_array(np.array([1, FEATURES]), "shape"))
    nodes = [
        helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2] if channels_last else [0, 1, 2, 3]),
        helper.make_node("Conv", ["planes", "kernel"], ["sums"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["sums"], ["maps"], domain=domain),
        helper.make_node("GlobalAveragePool", ["maps"], ["points"]),
        helper.make_node("Flatten", ["points"], [MEANS]),
        *_chain(ENDINGS[ending]),
        helper.make_node("Softmax", ["logits"], ["probabilities"]),
    ]
    sizes = [SIDE, SIDE, 3] if channels_last else [3, SIDE, SIDE]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8 if uint8 else TensorProto.FLOAT, ["n", *sizes])
    output = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", CLASSES])
    graph = helper.make_graph(nodes, "classifier", [image], [output], weights)
    opsets = [helper.make_opsetid("", opset), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def _chain(steps: Sequence[tuple[str, list[str], dict[str, int]]]) -> list[onnx.NodeProto]:
    """Return nodes of which each takes what the one before gives, and the last gives "logits"."""
    nodes = []
    for number, (kind, inputs, attributes) in enumerate(steps):
        named = [f"step {number - 1}" if name == "before" else name for name in inputs]
        to = "logits" if number == len(steps) - 1 else f"step {number}"
        nodes.append(helper.make_node(kind, named, [to], **attributes))
    return nodes
