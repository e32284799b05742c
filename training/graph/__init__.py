"""From a trained network to an ONNX graph in one file, and what onnxruntime makes of it."""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple, cast

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn

from training.networks.served import Served

OPSET = 20
INPUT, PROBABILITIES, NOVELTY = "image", "probabilities", "novelty"


class Answers(NamedTuple):
    """What a graph makes of images: probabilities [n, classes] and, where it has that output, novelty [n]."""

    probabilities: NDArray[np.float32]
    novelty: NDArray[np.float32] | None

    def differences(self, others: "Answers") -> list[float]:
        """Return the largest difference of each output from others' to the same images."""
        pairs = zip(self, others, strict=True)
        return [float(np.abs(one - other).max()) for one, other in pairs if one is not None and other is not None]


def to_onnx(served: Served, height: int, width: int, channels: int) -> onnx.ModelProto:
    """Export a graph that takes uint8 [batch, height, width, channels], with a dynamic batch."""
    outputs = [PROBABILITIES, NOVELTY] if served.novelty else [PROBABILITIES]
    return export(served, (height, width, channels), torch.uint8, INPUT, outputs)


def export(
    module: nn.Module, shape: Sequence[int], dtype: torch.dtype, name: str, outputs: Sequence[str]
) -> onnx.ModelProto:
    """Export a module as a graph whose input has this name and takes [batch, *shape], with a dynamic batch."""
    # A batch of two, since the exporter takes a size of one for a constant.
    example = torch.zeros(2, *shape, dtype=dtype)
    with _quiet():
        program = torch.onnx.export(
            module.eval(),
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[name],
            output_names=outputs,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    return _plain(cast(torch.onnx.ONNXProgram, program).model_proto)  # None is for the older exporter


def with_metadata(graph: onnx.ModelProto, metadata: Mapping[str, str]) -> bytes:
    """Return the file of a graph that carries this metadata and no other."""
    onnx.helper.set_model_props(graph, dict(metadata))
    onnx.checker.check_model(graph, full_check=True)
    return bytes(graph.SerializeToString())


def run(graph: onnx.ModelProto, pixels: NDArray[np.uint8], batch: int = 1_000) -> Answers:
    """Return what a graph makes of pixels [n, height, width, channels], through onnxruntime."""
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    parts = [session.run(names, {INPUT: pixels[start : start + batch]}) for start in range(0, len(pixels), batch)]
    outputs = {name: np.concatenate(values) for name, values in zip(names, zip(*parts, strict=True), strict=True)}
    return Answers(outputs[PROBABILITIES], outputs.get(NOVELTY))


def _plain(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Drop what the exporter notes for debugging, which holds stack traces and this machine's paths."""
    graph.producer_name, graph.producer_version, graph.doc_string = "thimble", "", ""
    inner = graph.graph
    for part in (inner, *inner.node, *inner.initializer, *inner.value_info, *inner.input, *inner.output):
        part.doc_string = ""
        del part.metadata_props[:]
    return graph


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what the exporter says of itself: its own deprecated calls, and that torchvision is not installed."""
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        exporter.setLevel(level)
