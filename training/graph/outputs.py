"""The outputs of an exported graph, and a graph with fewer of them."""

import onnx
from onnx.utils import Extractor

from serving.model.card import INPUT, PROBABILITIES


def without_novelty(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Return a graph without its novelty output, and without the nodes and weights that it alone needs."""
    return Extractor(graph).extract_model([INPUT], [PROBABILITIES])
