"""Export a trained network as an ONNX graph in one file, change its outputs and metadata, and run it."""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import cast

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx.utils import Extractor
from torch import nn

from serving.model.card import INPUT, NOVELTY, PROBABILITIES
from serving.model.classifier import MICRO_BATCH, Outputs
from serving.model.runtime import open_session
from training.graph.onnx_backbone import FrozenGraph
from training.graph.onnx_features import ALL_CORES, OPSET
from training.graph.splice import with_backbone
from training.networks.exported import ExportedModel
from training.networks.folding import fold_batch_norms


def to_onnx(model: ExportedModel, height: int, width: int, channels: int) -> onnx.ModelProto:
    """Export a graph that takes uint8 [batch, height, width, channels], with a dynamic batch.

    Batch norms are folded into convolutions; onnxruntime would leave those that stand behind a max pool.
    """
    outputs = [PROBABILITIES, NOVELTY] if model.novelty else [PROBABILITIES]
    folded = fold_batch_norms(model)
    frozen = [module for module in folded.modules() if isinstance(module, FrozenGraph)]
    for module in frozen:
        module.exported = True
    graph = export(folded, (height, width, channels), torch.uint8, INPUT, outputs)
    return with_backbone(graph, frozen[0].features.graph) if frozen else graph


def export(
    module: nn.Module, shape: Sequence[int], dtype: torch.dtype, name: str, outputs: Sequence[str]
) -> onnx.ModelProto:
    """Export a module as a graph whose input has this name and takes [batch, *shape], with a dynamic batch."""
    # A batch of two, since the exporter takes a size of one for a constant.
    example = torch.zeros(2, *shape, dtype=dtype)
    with _silent_exporter():
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
    return _without_debug_info(cast(torch.onnx.ONNXProgram, program).model_proto)  # None is for the older exporter


def with_metadata(graph: onnx.ModelProto, metadata: Mapping[str, str]) -> bytes:
    """Return the file of a graph that carries this metadata and no other; raises onnx's error for an invalid graph."""
    described = onnx.ModelProto()
    described.CopyFrom(graph)
    onnx.helper.set_model_props(described, dict(metadata))
    onnx.checker.check_model(described, full_check=True)
    return bytes(described.SerializeToString())


def without_novelty(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Return a graph without its novelty output, and without the nodes and weights that it alone needs."""
    return Extractor(graph).extract_model([INPUT], [PROBABILITIES])


def run(graph: onnx.ModelProto, pixels: NDArray[np.uint8], batch: int = MICRO_BATCH) -> Outputs:
    """Return a graph's outputs for raw pixels [n, height, width, channels], through onnxruntime."""
    session = open_session(graph.SerializeToString(), ALL_CORES)
    found = {output.name for output in session.get_outputs()}
    names = [name for name in (PROBABILITIES, NOVELTY) if name in found]

    def run_batch(start: int) -> Outputs:
        return Outputs(*session.run(names, {INPUT: pixels[start : start + batch]}))

    return Outputs.concatenate([run_batch(start) for start in range(0, len(pixels), batch)])


def _without_debug_info(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Remove the exporter's notes for debugging, which hold stack traces and this machine's paths."""
    graph.producer_name, graph.producer_version, graph.doc_string = "thimble", "", ""
    inner = graph.graph
    for part in (inner, *inner.node, *inner.initializer, *inner.value_info, *inner.input, *inner.output):
        part.doc_string = ""
        del part.metadata_props[:]
    return graph


@contextmanager
def _silent_exporter() -> Iterator[None]:
    """Silence the exporter's warnings about its own deprecated calls, and about torchvision, which is not installed."""
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        exporter.setLevel(level)
