"""Quantize an exported graph to int8."""

import io
import logging
import math
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, redirect_stdout
from itertools import accumulate, takewhile
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from serving.model.card import INPUT, PROBABILITIES
from training.graph.onnx_features import names_needed

# The operators that take most of the time, and the activations behind them, which set the range of their layer: with
# that of what ReLU6 cuts off, cifar-net would lose 1.5 points of accuracy. Preprocessing and softmax stay float32.
LAYERS = ("Conv", "Gemm", "MatMul")
QUANTIZED_OPERATORS = (*LAYERS, "Relu", "Clip")
INT8_OPERATORS = (*QUANTIZED_OPERATORS, "Add", "MaxPool")  # the last two where all that they read is quantized
FIRST_SHARE = 0.0035  # of the weights: so many of the first convolutions stay float32
CALIBRATION_IMAGES = 200  # of training
# Whose activations are in memory at once: an image has 2 MB of them in fashion-net, and 65 in EfficientNet-Lite0 at 224
# pixels.
IMAGES_AT_ONCE = 20
ACTIVATION_PERCENTILE = 99.99  # of a layer's activations is inside the range; the rest is clipped
# As a card says it.
QUANTIZATION = (
    f"int8 weights of 7 bits, uint8 activations; ranges of {CALIBRATION_IMAGES} training images, "
    f"{ACTIVATION_PERCENTILE:g}th percentile; first layers and novelty in float32"
)


class QuantizationError(Exception):
    """A graph cannot be quantized: some of its activations are the same for all images but for rounding."""


class _CalibrationImages:
    """Calibration images as onnxruntime's quantizer reads them: each part has images from all over the row.

    The first part sets the width of the bins of all: where it has only images that novelty knows, whose distance is 0
    but for rounding, others would need billions of bins.
    """

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self._pixels = pixels
        self._images = iter(pixels[:0])

    def __len__(self) -> int:
        """Return their number, rounded up to whole parts of IMAGES_AT_ONCE, since the quantizer takes no others."""
        return -(-len(self._pixels) // IMAGES_AT_ONCE) * IMAGES_AT_ONCE

    def set_range(self, start_index: int, end_index: int) -> None:
        """Begin to give the images of a part: as many as the quantizer asks for, or fewer."""
        self._images = iter(self._pixels[start_index // IMAGES_AT_ONCE :: len(self) // IMAGES_AT_ONCE])

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """Return the next image of the part as a batch of one, by the input's name; None after the last.

        The quantizer needs batches of equal size.
        """
        image = next(self._images, None)
        return None if image is None else {INPUT: image[None]}


def quantize(graph: onnx.ModelProto, pixels: NDArray[np.uint8]) -> onnx.ModelProto:
    """Return the graph with int8 weights and uint8 activations, calibrated on a few training pixels [n, h, w, c].

    The range of activations leaves out the rarest values. On version 1 of cifar-net the full range, which a few values
    set, doubled the mean change of a probability; its moving average lost two points of accuracy. Raises
    QuantizationError.
    """
    # Imported here, since it takes seconds that an export without int8 need not wait.
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder, _silent_quantizer(), _refused_ranges():
        original, prepared, quantized = (Path(folder, f"{step}.onnx") for step in ("original", "prepared", "quantized"))
        # As files: onnxruntime's tools move the weights out of a graph in memory, which ruins it.
        onnx.save(graph, original)
        quant_pre_process(original, prepared, skip_symbolic_shape=True)  # infers shapes, folds constants
        onnx.save(_with_names(_without_copies(onnx.load(prepared))), prepared)
        kept = _kept_in_float32(onnx.load(prepared))
        quantize_static(
            prepared,
            quantized,
            _CalibrationImages(pixels),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTIZED_OPERATORS),
            nodes_to_exclude=kept,
            per_channel=True,  # one scale for a whole layer costs cifar-net another point of accuracy
            # 7-bit weights: processors with AVX2 but without VNNI add two products of uint8 and int8 in 16 bits, which
            # overflow beyond 255 * 64 * 2. Signed activations would not help: onnxruntime makes them unsigned on x86.
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.Percentile,
            extra_options={
                "CalibPercentile": ACTIVATION_PERCENTILE,
                "CalibStridedMinMax": IMAGES_AT_ONCE,  # it holds for histograms too
                "OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"],  # logits in 256 steps cost accuracy
            },
        )
        return _without_tool_info(_without_needless_quantization(onnx.load(quantized), kept))


def _without_copies(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Keep one of equal weights: there are two after a batch norm is folded into a convolution of two branches."""
    first: dict[tuple[object, ...], onnx.TensorProto] = {}
    kept = {}
    for weight in graph.graph.initializer:
        content = weight.data_type, tuple(weight.dims), onnx.numpy_helper.to_array(weight).tobytes()
        kept[weight.name] = first.setdefault(content, weight).name
    for node in graph.graph.node:
        node.input[:] = [kept.get(name, name) for name in node.input]
    weights = list(first.values())
    del graph.graph.initializer[:]
    graph.graph.initializer.extend(weights)
    return graph


def _with_names(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Give each node a name of its own, by which it may be kept in float32: those of another's graph may lack one."""
    taken = {""}
    for number, node in enumerate(graph.graph.node):
        if node.name in taken:
            node.name = f"{node.op_type}/{number}"
        taken.add(node.name)
    return graph


def _kept_in_float32(graph: onnx.ModelProto) -> list[str]:
    """Return the names of the nodes that int8 would harm and hardly speed up."""
    return [*_nodes_of_novelty_alone(graph), *_first_layers(graph)]


def _first_layers(graph: onnx.ModelProto) -> list[str]:
    """Return the names of the first convolutions, as many as have FIRST_SHARE of the weights of the network together.

    They have few weights to average errors over, and all later layers inherit these. cifar-net's first eight in float32
    cost a tenth of the time that int8 saves, and the mean change of its probabilities on real photos is half as large.
    """
    alone = set(_nodes_of_novelty_alone(graph))
    sizes = {weight.name: math.prod(weight.dims) for weight in graph.graph.initializer}
    layers = [node for node in graph.graph.node if node.op_type in LAYERS and node.name not in alone]
    weights = [sizes.get(node.input[1], math.inf) for node in layers]  # some are computed: they end the list
    few = FIRST_SHARE * sum(filter(math.isfinite, weights))
    convolutions = takewhile(lambda node: node.op_type == "Conv", layers)
    return [node.name for node, sum_so_far in zip(convolutions, accumulate(weights), strict=False) if sum_so_far < few]


def _nodes_of_novelty_alone(graph: onnx.ModelProto) -> list[str]:
    """Return the names of the nodes that only novelty needs: few, and 256 steps are too coarse for distances."""
    needed = names_needed(graph.graph.node, PROBABILITIES)
    return [node.name for node in graph.graph.node if not needed.intersection(node.output)]


def _without_needless_quantization(graph: onnx.ModelProto, kept: Collection[str]) -> onnx.ModelProto:
    """Let nodes in float32 read as they are the tensors that others in float32 made, not in 256 steps.

    kept: the names of layers in float32. onnxruntime's quantizer gives all that read a tensor the quantized one as soon
    as one of them is in int8. That costs novelty its precision, and time: 2 to 3% of fashion-net's.
    """
    made_by = {name: node for node in graph.graph.node for name in node.output}

    def is_dequantized(name: str) -> bool:
        return name in made_by and made_by[name].op_type == "DequantizeLinear"

    def original(name: str) -> str:
        quantized = made_by[name].input[0] if is_dequantized(name) else ""
        before = made_by[quantized].input[0] if quantized in made_by else ""  # weights have no node before them
        return before if before in made_by and made_by[before].op_type not in INT8_OPERATORS else name

    for node in graph.graph.node:
        originals = [original(name) for name in node.input]
        in_float32 = node.name in kept or node.op_type not in QUANTIZED_OPERATORS
        if in_float32 and not any(map(is_dequantized, originals)):
            node.input[:] = originals
    return graph


def _without_tool_info(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Remove the tools' notes: their names, intermediate shapes, and operator sets that no node uses."""
    graph.producer_name, graph.producer_version = "thimble", ""
    del graph.metadata_props[:], graph.graph.value_info[:]
    own = [opset for opset in graph.opset_import if not opset.domain]
    del graph.opset_import[:]
    graph.opset_import.extend(own)
    return graph


@contextmanager
def _refused_ranges() -> Iterator[None]:
    """Raise QuantizationError where the quantizer finds a range too narrow for a histogram: numpy's ValueError."""
    try:
        yield
    except ValueError as error:
        raise QuantizationError(f"its ranges cannot be measured ({error}); train longer, or on more images") from error


@contextmanager
def _silent_quantizer() -> Iterator[None]:
    """Silence the tools, and keep their calls of logging.warning from adding a handler to the root logger."""
    root, silent = logging.getLogger(), logging.NullHandler()
    level = root.level
    root.addHandler(silent)
    root.setLevel(logging.ERROR)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        root.setLevel(level)
        root.removeHandler(silent)
