"""The name and the version of this service."""

from importlib import metadata

NAME = "thimble"


def installed_version() -> str:
    """Return the version of this service."""
    try:
        return metadata.version(NAME)
    except metadata.PackageNotFoundError:  # it runs from its folder and was never installed
        return "unknown"
