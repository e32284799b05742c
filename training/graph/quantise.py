"""An int8 version of an exported graph: made, measured beside the original, and kept only where it pays."""

import io
import logging
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray

from training.datasets.images import Images
from training.graph import INPUT, PROBABILITIES, run

OPERATORS = ("Conv", "Gemm", "MatMul")  # where the time goes; the pixels' way in and the softmax stay float32
CALIBRATED_ON = 200  # training images: all layers' answers to them are kept in memory, some 2 MB each for cifar-net
PERCENTILE = 99.99  # of what a layer answers is inside the range; the rest is cut off
REPETITIONS = 500  # of each timing, so that the median moves by no more than a few hundredths
WARM_UP = 20  # repetitions that are not counted
SMALLEST_SPEEDUP = 1.2
MOST_LOST = 3  # more held-out images wrong than before, in a thousand


@dataclass(frozen=True)
class Measured:
    """What a graph costs on this machine and what it is worth.

    size: bytes. ms: milliseconds for one image on one thread. right: of n held-out images.
    """

    size: int
    ms: float
    right: int
    n: int


class _Images:
    """Calibration images in the form in which onnxruntime asks for them."""

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self._images = iter(pixels)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        """Return the next image by the input's name, as a batch of one: all must be alike; None after the last."""
        image = next(self._images, None)
        return None if image is None else {INPUT: image[None]}


def quantise(graph: onnx.ModelProto, pixels: NDArray[np.uint8]) -> onnx.ModelProto:
    """Return the graph with int8 weights and uint8 activations, calibrated on training pixels [n, h, w, c].

    The range of activations leaves the rarest out: on cifar-net the widest range, set by a few, doubled the mean
    change of a probability, and a moving average of it lost two points of accuracy.
    """
    # Here, since an export without int8 need not wait the seconds that these take.
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder, _quiet():
        original, prepared, quantised = (Path(folder, f"{step}.onnx") for step in ("original", "prepared", "quantised"))
        # As files: of a graph in memory, onnxruntime's tools move the weights out, and the graph is spoilt.
        onnx.save(graph, original)
        quant_pre_process(original, prepared, skip_symbolic_shape=True)  # folds batch norms into convolutions
        onnx.save(_without_copies(onnx.load(prepared)), prepared)
        quantize_static(
            prepared,
            quantised,
            _Images(pixels[:CALIBRATED_ON]),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(OPERATORS),
            nodes_to_exclude=_without_part_in_probabilities(onnx.load(prepared)),
            per_channel=True,  # one scale for a whole layer costs cifar-net another point of accuracy
            # 7-bit weights: processors with AVX2 and no VNNI add two products of uint8 and int8 in 16 bits, which
            # overflow beyond 255 * 64 * 2. Signed activations are no way out: onnxruntime makes them unsigned on x86.
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.Percentile,
            extra_options={
                "CalibPercentile": PERCENTILE,
                "OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"],  # logits in 256 steps cost accuracy
            },
        )
        return _plain(onnx.load(quantised))


def measure(graphs: Sequence[onnx.ModelProto], held: Images) -> list[Measured]:
    """Measure graphs side by side on held-out images."""
    files, pixels = [graph.SerializeToString() for graph in graphs], held.pixels.numpy()
    return [
        Measured(len(file), ms, _right(graph, held), len(held))
        for graph, file, ms in zip(graphs, files, _milliseconds(files, pixels[:1]), strict=True)
    ]


def comparison(before: Measured, after: Measured) -> str:
    """Return in words what int8 changes."""
    return (
        f"int8, on one thread and {before.n:,} held-out images: {after.size / 1e6:.2f} MB instead of "
        f"{before.size / 1e6:.2f}, {after.ms:.3f} ms an image instead of {before.ms:.3f}, "
        f"accuracy {after.right / after.n:.4f} instead of {before.right / before.n:.4f}"
    )


def objections(before: Measured, after: Measured) -> list[str]:
    """Return why an int8 graph is not worth keeping beside the original; nothing where it is."""
    lost = before.right - after.right
    found = {
        "it is not smaller": after.size >= before.size,
        f"it is {before.ms / after.ms:.3f} times as fast, at least {SMALLEST_SPEEDUP:g} is asked for": (
            before.ms < after.ms * SMALLEST_SPEEDUP
        ),
        f"it loses {100 * lost / before.n:.3f} points of accuracy, at most {MOST_LOST / 10:g} are allowed": (
            lost * 1_000 > MOST_LOST * before.n
        ),
    }
    return [reason for reason, holds in found.items() if holds]


def _right(graph: onnx.ModelProto, images: Images) -> int:
    answered = torch.from_numpy(run(graph, images.pixels.numpy()).probabilities).argmax(1)
    return int((answered == images.labels).sum())


def _milliseconds(files: Sequence[bytes], image: NDArray[np.uint8]) -> list[float]:
    """Return the median time that each graph works on an image, by turns, so that the caches serve them all alike.

    The thread's own time, not the clock's: on a busy machine a slow graph is interrupted more often than a fast one,
    and would seem ten times slower than it is.
    """
    sessions = [_session(file) for file in files]
    seconds: list[list[float]] = [[] for _ in files]
    for _ in range(WARM_UP + REPETITIONS):
        for session, taken in zip(sessions, seconds, strict=True):
            start = time.thread_time()
            session.run([PROBABILITIES], {INPUT: image})
            taken.append(time.thread_time() - start)
    return [1_000 * statistics.median(taken[WARM_UP:]) for taken in seconds]


def _session(file: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def _without_copies(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Keep one of equal weights: folding a batch norm into a convolution that two branches share makes two."""
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


def _without_part_in_probabilities(graph: onnx.ModelProto) -> list[str]:
    """Return the names of the nodes that work for novelty alone: few and small, and distances suffer in 256 steps."""
    wanted = {PROBABILITIES}
    for node in reversed(graph.graph.node):  # which are in the order of computation
        if wanted.intersection(node.output):
            wanted.update(node.input)
    return [node.name for node in graph.graph.node if not wanted.intersection(node.output)]


def _plain(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Drop what the tools note: themselves, the shapes in between, and operator sets that no node is of."""
    graph.producer_name, graph.producer_version = "thimble", ""
    del graph.metadata_props[:], graph.graph.value_info[:]
    own = [opset for opset in graph.opset_import if not opset.domain]
    del graph.opset_import[:]
    graph.opset_import.extend(own)
    return graph


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the tools, and keep their calls of logging.warning from setting up a handler for good."""
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
