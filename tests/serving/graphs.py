"""Edits of an ONNX graph in memory."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper


def after_probabilities(model, *nodes):
    """Let nodes compute the graph's probabilities from those it had, named "before"."""
    for node in model.graph.node:
        node.output[:] = ["before" if name == "probabilities" else name for name in node.output]
    model.graph.node.extend(nodes)


def constant(model, name, value):
    model.graph.initializer.append(numpy_helper.from_array(np.array(value), name))
    return name


def endless_loop(model):
    names = ("condition", "value")
    kinds = {"n": (TensorProto.INT64, []), "condition": (TensorProto.BOOL, []), "value": (TensorProto.FLOAT, None)}
    body = helper.make_graph(
        [helper.make_node("Identity", [name], [f"next_{name}"]) for name in names],
        "body",
        [helper.make_tensor_value_info(name, *kind) for name, kind in kinds.items()],
        [helper.make_tensor_value_info(f"next_{name}", *kinds[name]) for name in names],
    )
    often, go_on = constant(model, "often", 2**62), constant(model, "go_on", True)
    after_probabilities(model, helper.make_node("Loop", [often, go_on, "before"], ["probabilities"], body=body))


def large_constant(model, size):
    """Have the graph compute so many bytes whenever it runs, from a few in the file."""
    shape = constant(model, "shape", [size // 4])
    model.graph.node.append(helper.make_node("ConstantOfShape", [shape], ["zeros"]))
    model.graph.output.append(helper.make_tensor_value_info("zeros", TensorProto.FLOAT, [size // 4]))
