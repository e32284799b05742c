"""The features of another ONNX classifier: its graph, cut before the last layer, and run by onnxruntime."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnx.inliner import inline_local_functions
from onnx.version_converter import ConvertError, convert_version

from serving.model.card import ContractError
from serving.model.external_data import check_self_contained
from serving.model.runtime import RUNTIME_ERRORS, open_session
from training.datasets.formats import DataError
from training.datasets.image_file import printable

OPSET = 20  # of all exported graphs
ALL_CORES = 0  # as a number of threads
INPUT_TYPES = {TensorProto.FLOAT: np.float32, TensorProto.UINT8: np.uint8}
NO_WEIGHTS = TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL
LINEAR = ("Gemm", "MatMul", "Conv")
DEFAULT_SIDE = 224  # where a graph takes images of any size
MAX_SIDE = 512
MAX_FEATURES = 8_192
FEATURES_OUTPUT = "backbone_features"  # the name of the cut graph's output
IR_VERSION = 10  # of the file format, which belongs to these operators
PROBED = 2  # images, to see what the graph makes of several
GRAPHS = onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS
MAPS, VECTOR = 4, 2  # dimensions of the last layer's input


@dataclass(frozen=True)
class OnnxFeatures:
    """An ONNX classifier without its last layer.

    graph: takes images, float32 or uint8, and gives features [n, count]. channels_last: whether images are
    [n, h, w, c] instead of [n, c, h, w]. height, width: pixels. digest: of the whole file, SHA-256.
    """

    graph: onnx.ModelProto
    file: Path
    digest: str
    channels: int
    channels_last: bool
    height: int
    width: int
    count: int

    @property
    def name(self) -> str:
        """The name of the file, without its suffix, as cards and terminals can show it."""
        return printable(self.file.stem)

    @property
    def parameters(self) -> int:
        """The number of the graph's weights; whole numbers of more than a byte are shapes and indices."""
        weights = (one for one in self.graph.graph.initializer if one.data_type not in NO_WEIGHTS)
        return sum(math.prod(one.dims) for one in weights)

    @classmethod
    def open(cls, file: Path) -> Self:
        """Read and cut a file; raises DataError when it is not an image classifier that can be cut."""
        try:
            content = file.read_bytes()
            check_self_contained(content)
            model = _of_our_operators(onnx.load_from_string(content))
            layout = _layout(model)
            cut, count = _cut(model, layout)
        except OSError as error:
            raise DataError(f"{file}: {error.strerror or error}") from error
        except (ContractError, DecodeError, onnx.checker.ValidationError, ValueError) as error:
            raise DataError(f"{file} cannot be a backbone: {error}") from error
        except RUNTIME_ERRORS as error:
            raise DataError(f"{file} cannot be a backbone: onnxruntime does not run it: {error}") from error
        return cls(cut, file, hashlib.sha256(content).hexdigest(), *layout, count)

    @property
    def takes_bytes(self) -> bool:
        """Whether it takes pixels as uint8, as they are."""
        return bool(self.graph.graph.input[0].type.tensor_type.elem_type == TensorProto.UINT8)


def _of_our_operators(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model in our version of ONNX's own operators."""
    model = inline_local_functions(model)
    if foreign := sorted({node.domain for node in model.graph.node} - {"", "ai.onnx"}):
        raise ValueError(f"it has operators of {', '.join(foreign)}; export it with ONNX's own operators")
    version = next((opset.version for opset in model.opset_import if opset.domain in ("", "ai.onnx")), OPSET)
    try:
        return model if version == OPSET else convert_version(model, OPSET)
    except (ConvertError, RuntimeError) as error:  # the second of an operator that the other version does not have
        reason = str(error).rpartition(": ")[2]
        raise ValueError(
            f"it cannot be converted from opset {version} to {OPSET} ({reason}); export it with opset {OPSET}"
        ) from error


def _layout(model: onnx.ModelProto) -> tuple[int, bool, int, int]:
    """Return the channels of the input, whether they come last, and its height and width."""
    tensor = _image(model.graph).type.tensor_type
    sizes = [size.dim_value for size in tensor.shape.dim]
    if len(sizes) != 4 or tensor.elem_type not in INPUT_TYPES:
        raise ValueError("its input is not images: float32 or uint8 of four dimensions are needed")
    last = sizes[1] not in (1, 3)
    channels, *sides = [sizes[3], *sizes[1:3]] if last else sizes[1:]
    height, width = (side or DEFAULT_SIDE for side in sides)
    if channels not in (1, 3) or max(height, width) > MAX_SIDE:
        raise ValueError(f"its input is {sizes[1:]}; 1 or 3 channels and at most {MAX_SIDE} pixels a side are needed")
    return channels, last, height, width


def _cut(model: onnx.ModelProto, layout: tuple[int, bool, int, int]) -> tuple[onnx.ModelProto, int]:
    """Return the part of the graph that gives its last layer's input as [n, count], and the count.

    Maps are averaged over their pixels.
    """
    source = _last_input(model.graph)
    ending = [("Flatten", source, FEATURES_OUTPUT)]
    shape = _run(_part(model.graph, source, []), layout).shape
    if len(shape) == MAPS:
        ending = [("GlobalAveragePool", source, "backbone_means"), ("Flatten", "backbone_means", FEATURES_OUTPUT)]
    elif len(shape) != VECTOR:
        raise ValueError(f"its last layer takes {len(shape)} dimensions; 2 or 4 are needed")
    cut = _part(model.graph, FEATURES_OUTPUT, [helper.make_node(kind, [name], [to]) for kind, name, to in ending])
    features = _run(cut, layout)
    if len(features) != PROBED:
        raise ValueError(
            f"its last layer gets {len(features)} rows for {PROBED} images, not one for each; export it with a dynamic "
            "batch"
        )
    if not 1 <= features.shape[1] <= MAX_FEATURES:
        raise ValueError(f"its last layer has {features.shape[1]:,} inputs; the limit is {MAX_FEATURES:,}")
    return cut, features.shape[1]


def _last_input(graph: onnx.GraphProto) -> str:
    """Return the name of the last layer's input: going back from the first output, the first that weights multiply."""
    makers = {name: node for node in graph.node for name in node.output}
    varying = {_image(graph).name}
    for node in graph.node:  # in the order of computation
        if any(attribute.type in GRAPHS for attribute in node.attribute):
            raise ValueError(f"it has {node.op_type}, which runs other graphs; export it without control flow")
        if varying.intersection(node.input):
            varying.update(node.output)
    name = graph.output[0].name
    while name in makers:
        inputs = [each for each in makers[name].input if each in varying]
        if len(inputs) != 1:
            break
        if makers[name].op_type in LINEAR:
            return str(inputs[0])
        name = inputs[0]
    raise ValueError(f"it does not end with a layer of weights, which is one of {', '.join(LINEAR)}")


def _image(graph: onnx.GraphProto) -> onnx.ValueInfoProto:
    """Return the only input that no weights are stored for."""
    weights = {weight.name for weight in graph.initializer}
    inputs: list[onnx.ValueInfoProto] = [value for value in graph.input if value.name not in weights]
    if len(inputs) != 1:
        raise ValueError(f"it has {len(inputs)} inputs; one is needed, for images")
    return inputs[0]


def _part(graph: onnx.GraphProto, output: str, added: Sequence[onnx.NodeProto]) -> onnx.ModelProto:
    """Return the nodes that an output needs, some nodes added at the end, as a model for any number of images."""
    nodes = [*graph.node, *added]
    needed = names_needed(nodes, output)
    kept = [node for node in nodes if needed.intersection(node.output)]
    image = onnx.ValueInfoProto()
    image.CopyFrom(_image(graph))
    image.type.tensor_type.shape.dim[0].dim_param = "n"
    result = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
    weights = [weight for weight in graph.initializer if weight.name in needed]
    part = helper.make_graph(kept, "backbone", [image], [result], weights)
    return helper.make_model(part, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


def names_needed(nodes: Sequence[onnx.NodeProto], output: str) -> set[str]:
    """Return the names of the tensors that make an output, its own too. nodes: in the order of computation."""
    needed = {output}
    for node in reversed(nodes):
        if needed.intersection(node.output):
            needed.update(node.input)
    return needed


def _run(model: onnx.ModelProto, layout: tuple[int, bool, int, int]) -> NDArray[np.float32]:
    """Return the output for a few black images."""
    channels, last, *sides = layout
    shape = (PROBED, *sides, channels) if last else (PROBED, channels, *sides)
    image = model.graph.input[0]
    black = np.zeros(shape, INPUT_TYPES[image.type.tensor_type.elem_type])
    outputs: list[NDArray[np.float32]] = open_session(model.SerializeToString(), ALL_CORES).run(
        None, {image.name: black}
    )
    return outputs[0]
