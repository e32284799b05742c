"""Quantize an exported graph to int8, measure it beside the original, and say whether it is worth keeping."""

import io
import logging
import math
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from itertools import accumulate, takewhile
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from serving.model.card import INPUT, PROBABILITIES
from serving.model.runtime import open_session
from training.datasets.labelled import LabelledImages
from training.graph.onnx_export import run
from training.task import SINGLE, Task

# The operators that take most of the time, and the activations behind them, which set the range of their layer: with
# that of what ReLU6 cuts off, cifar-net would lose 1.5 points of accuracy. Preprocessing and softmax stay float32.
LAYERS = ("Conv", "Gemm", "MatMul")
QUANTIZED_OPERATORS = (*LAYERS, "Relu", "Clip")
FIRST_SHARE = 0.0035  # of the weights: so many of the first convolutions stay float32
CALIBRATION_IMAGES = 200  # of training: all activations for them stay in memory, some 2 MB an image for fashion-net
ACTIVATION_PERCENTILE = 99.99  # of a layer's activations is inside the range; the rest is clipped
# As a card says it.
QUANTIZATION = (
    f"int8 weights of 7 bits, uint8 activations; ranges of {CALIBRATION_IMAGES} training images, "
    f"{ACTIVATION_PERCENTILE:g}th percentile; first layers and novelty in float32"
)
REPETITIONS = 500  # of each timing, so that the median moves by no more than a few hundredths
WARM_UP_RUNS = 20  # that are not counted


@dataclass(frozen=True)
class Measurement:
    """The cost of a graph on this machine, and its accuracy.

    size: bytes. ms: milliseconds for one image on one thread. correct: of n validation images.
    """

    size: int
    ms: float
    correct: int
    n: int


@dataclass(frozen=True)
class Int8Limits:
    """When int8 is worth keeping. max_lost: more validation images wrong than before, in a thousand."""

    min_speedup: float = 1.2
    max_lost: int = 3


BESIDE_LIMITS = Int8Limits()  # for int8 as a model beside the original
REPLACEMENT_LIMITS = Int8Limits(min_speedup=1.5, max_lost=1)  # for int8 in its place


class _CalibrationImages:
    """Calibration images as onnxruntime's quantizer reads them."""

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self._images = iter(pixels)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """Return the next image as a batch of one, by the input's name; None after the last.

        The quantizer needs batches of equal size.
        """
        image = next(self._images, None)
        return None if image is None else {INPUT: image[None]}


def quantize(graph: onnx.ModelProto, pixels: NDArray[np.uint8]) -> onnx.ModelProto:
    """Return the graph with int8 weights and uint8 activations, calibrated on a few training pixels [n, h, w, c].

    The range of activations leaves out the rarest values. On version 1 of cifar-net the full range, which a few values
    set, doubled the mean change of a probability; its moving average lost two points of accuracy.
    """
    # Imported here, since it takes seconds that an export without int8 need not wait.
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder, _silent_quantizer():
        original, prepared, quantized = (Path(folder, f"{step}.onnx") for step in ("original", "prepared", "quantized"))
        # As files: onnxruntime's tools move the weights out of a graph in memory, which ruins it.
        onnx.save(graph, original)
        quant_pre_process(original, prepared, skip_symbolic_shape=True)  # infers shapes, folds constants
        onnx.save(_without_copies(onnx.load(prepared)), prepared)
        quantize_static(
            prepared,
            quantized,
            _CalibrationImages(pixels),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTIZED_OPERATORS),
            nodes_to_exclude=_kept_in_float32(onnx.load(prepared)),
            per_channel=True,  # one scale for a whole layer costs cifar-net another point of accuracy
            # 7-bit weights: processors with AVX2 but without VNNI add two products of uint8 and int8 in 16 bits, which
            # overflow beyond 255 * 64 * 2. Signed activations would not help: onnxruntime makes them unsigned on x86.
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.Percentile,
            extra_options={
                "CalibPercentile": ACTIVATION_PERCENTILE,
                "OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"],  # logits in 256 steps cost accuracy
            },
        )
        return _without_tool_info(onnx.load(quantized))


def measure(
    graphs: Sequence[onnx.ModelProto],
    validation: LabelledImages,
    repetitions: int = REPETITIONS,
    task: Task = SINGLE,
) -> list[Measurement]:
    """Measure graphs side by side on validation images."""
    files, pixels = [graph.SerializeToString() for graph in graphs], validation.pixels.numpy()
    return [
        Measurement(len(file), ms, _correct(graph, validation, task), len(validation))
        for graph, file, ms in zip(graphs, files, _milliseconds(files, pixels[:1], repetitions), strict=True)
    ]


def comparison(before: Measurement, after: Measurement) -> str:
    """Return a sentence that compares int8 with the original."""
    return (
        f"int8, on one thread and {before.n:,} validation images: {after.size / 1e6:.2f} MB instead of "
        f"{before.size / 1e6:.2f}, {after.ms:.3f} ms an image instead of {before.ms:.3f}, "
        f"accuracy {after.correct / after.n:.4f} instead of {before.correct / before.n:.4f}"
    )


def objections(before: Measurement, after: Measurement, limits: Int8Limits = BESIDE_LIMITS) -> list[str]:
    """Return the reasons why int8 is not worth keeping; an empty list where it is."""
    lost = before.correct - after.correct
    found = {
        "it is not smaller": after.size >= before.size,
        f"it is {before.ms / after.ms:.3f} times as fast, at least {limits.min_speedup:g} is needed": (
            before.ms < after.ms * limits.min_speedup
        ),
        f"it loses {100 * lost / before.n:.3f} points of accuracy, at most {limits.max_lost / 10:g} are allowed": (
            lost * 1_000 > limits.max_lost * before.n
        ),
    }
    return [reason for reason, holds in found.items() if holds]


def _correct(graph: onnx.ModelProto, images: LabelledImages, task: Task) -> int:
    probabilities = torch.from_numpy(run(graph, images.pixels.numpy()).probabilities)
    return int(task.right(probabilities, images.labels).sum())


def _milliseconds(files: Sequence[bytes], image: NDArray[np.uint8], repetitions: int) -> list[float]:
    """Return the median time that each graph takes for an image; they take turns, so that caches serve all alike.

    The time is the thread's own, not the clock's: a busy machine interrupts a slow graph more often than a fast one,
    which would make it seem ten times slower than it is.
    """
    sessions = [open_session(file, threads=1) for file in files]
    seconds: list[list[float]] = [[] for _ in files]
    for _ in range(WARM_UP_RUNS + repetitions):
        for session, times in zip(sessions, seconds, strict=True):
            start = time.thread_time()
            session.run([PROBABILITIES], {INPUT: image})
            times.append(time.thread_time() - start)
    return [1_000 * statistics.median(times[WARM_UP_RUNS:]) for times in seconds]


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
    wanted = {PROBABILITIES}
    for node in reversed(graph.graph.node):  # the list is in the order of computation
        if wanted.intersection(node.output):
            wanted.update(node.input)
    return [node.name for node in graph.graph.node if not wanted.intersection(node.output)]


def _without_tool_info(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Remove the tools' notes: their names, intermediate shapes, and operator sets that no node uses."""
    graph.producer_name, graph.producer_version = "thimble", ""
    del graph.metadata_props[:], graph.graph.value_info[:]
    own = [opset for opset in graph.opset_import if not opset.domain]
    del graph.opset_import[:]
    graph.opset_import.extend(own)
    return graph


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
