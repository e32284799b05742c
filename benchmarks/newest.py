"""The version of a model that the service answers with."""

from pathlib import Path


def newest(models: Path, name: str) -> Path:
    """Return the graph of a model's highest version."""
    return max((models / name).glob("*/model.onnx"), key=lambda path: int(path.parent.name))


def model_names(models: Path) -> list[str]:
    """Return the names of the models of a folder."""
    return sorted({path.parent.parent.name for path in models.glob("*/*/model.onnx")})
