"""The versions that an answer may depend on."""

import platform
from importlib import metadata

from serving.model.runtime import onnxruntime

NAME = "thimble"


def version_of_this() -> str:
    """Return the version of this service."""
    try:
        return metadata.version(NAME)
    except metadata.PackageNotFoundError:  # it runs from its folder and was never installed
        return "unknown"


def versions() -> dict[str, str]:
    """Return the versions of this service and of what computes its answers."""
    return {
        "version": version_of_this(),
        "onnxruntime": onnxruntime.__version__,
        "python": platform.python_version(),
    }
