"""Put a backbone's graph where an exported graph has an operator in its place."""

import onnx
from onnx import compose

from training.graph.onnx_backbone import PLACEHOLDER

PREFIX = "backbone/"


def with_backbone(graph: onnx.ModelProto, backbone: onnx.ModelProto) -> onnx.ModelProto:
    """Return a graph with the nodes and weights of the backbone in place of its operator."""
    domain, _, operator = PLACEHOLDER.partition("::")
    whole, inner = onnx.ModelProto(), compose.add_prefix(backbone, PREFIX).graph
    whole.CopyFrom(graph)
    nodes = list(whole.graph.node)
    place = next(number for number, node in enumerate(nodes) if (node.domain, node.op_type) == (domain, operator))
    names = {inner.input[0].name: nodes[place].input[0], inner.output[0].name: nodes[place].output[0]}
    for node in inner.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    del whole.graph.node[:]
    whole.graph.node.extend([*nodes[:place], *inner.node, *nodes[place + 1 :]])
    whole.graph.initializer.extend(inner.initializer)
    own = [opset for opset in whole.opset_import if opset.domain != domain]
    del whole.opset_import[:]
    whole.opset_import.extend(own)
    return whole
