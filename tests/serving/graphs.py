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


def nan_for_plain_images(model, output="probabilities"):
    """Divide an output by the image's contrast and multiply it again, as a graph that standardizes each image may."""
    _contrast(model)
    last = constant(model, "last", [1])
    for node in model.graph.node:
        node.output[:] = ["sound" if name == output else name for name in node.output]
        node.input[:] = ["sound" if name == output else name for name in node.input]
    model.graph.node.extend(
        [
            helper.make_node("Div", ["contrast", "contrast"], ["one"]),
            helper.make_node("Unsqueeze", ["one", last], ["column"]),
            helper.make_node("Mul", ["sound", "one" if output == "novelty" else "column"], [output]),
        ]
    )


def infinity_for_plain_images(model):
    """Add the whole part of a small number divided by the contrast: infinity where there is none, otherwise 0."""
    _contrast(model)
    after_probabilities(
        model,
        helper.make_node("Div", [constant(model, "small", np.float32(0.5)), "contrast"], ["ratio"]),
        helper.make_node("Floor", ["ratio"], ["whole"]),
        helper.make_node("Unsqueeze", ["whole", constant(model, "last", [1])], ["column"]),
        helper.make_node("Add", ["before", "column"], ["probabilities"]),
    )


def error_for_plain_images(model):
    """Look up a number at the place 1, which there is not, where an image has no contrast: onnxruntime fails."""
    _contrast(model)
    numbers, none = constant(model, "numbers", np.ones(1, "f")), constant(model, "none", np.float32(0))
    after_probabilities(
        model,
        helper.make_node("Equal", ["contrast", none], ["plain"]),
        helper.make_node("Cast", ["plain"], ["place"], to=TensorProto.INT64),
        helper.make_node("Gather", [numbers, "place"], ["one"]),
        helper.make_node("Unsqueeze", ["one", constant(model, "last", [1])], ["column"]),
        helper.make_node("Mul", ["before", "column"], ["probabilities"]),
    )


def _contrast(model):
    """Compute "contrast", float32 [batch]: an image's highest level less its lowest."""
    axes = constant(model, "axes", [1, 2, 3])
    model.graph.node.extend(
        [
            helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMax", ["float", axes], ["highest"], keepdims=0),
            helper.make_node("ReduceMin", ["float", axes], ["lowest"], keepdims=0),
            helper.make_node("Sub", ["highest", "lowest"], ["contrast"]),
        ]
    )
