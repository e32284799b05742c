"""A model's configuration for NVIDIA Triton: the fields of its ModelConfig, from the model's name, input and labels."""

from typing import Any

from serving.model.card import INPUT, LABELS_FILE, MODEL_FILE, NOVELTY, PROBABILITIES

BACKEND, PLATFORM = "onnxruntime", "onnxruntime_onnx"


def triton_config(
    name: str, shape: tuple[int, int, int], classes: int, *, has_novelty: bool, max_batch_size: int
) -> dict[str, Any]:
    """Return the configuration; shape: height, width and channels of the input."""
    outputs: list[dict[str, Any]] = [
        {"name": PROBABILITIES, "data_type": "TYPE_FP32", "dims": [classes], "label_filename": LABELS_FILE}
    ]
    if has_novelty:  # the graph gives [batch]; Triton wants a dimension to name, and removes it again
        outputs.append({"name": NOVELTY, "data_type": "TYPE_FP32", "dims": [1], "reshape": {"shape": []}})
    return {
        "name": name,
        "platform": PLATFORM,
        "backend": BACKEND,
        "version_policy": {"latest": {"num_versions": 1}},
        "max_batch_size": max_batch_size,
        "input": [{"name": INPUT, "data_type": "TYPE_UINT8", "dims": list(shape), "format": "FORMAT_NHWC"}],
        "output": outputs,
        "default_model_filename": MODEL_FILE,
    }
