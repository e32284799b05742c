"""Refuse images at which onnxruntime fails to run a graph."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from serving.errors import InternalError
from serving.model.classifier import Classifier
from serving.model.runtime import RUNTIME_ERRORS

log = logging.getLogger(__name__)


@contextmanager
def failures_refused(classifier: Classifier) -> Iterator[None]:
    """Log an error of onnxruntime's, and raise InternalError in its place."""
    try:
        yield
    except RUNTIME_ERRORS as error:
        raise log_failure(f"The graph of {classifier.full_name}", error) from error


def log_failure(what: str, error: Exception) -> InternalError:
    """Log an error of onnxruntime's, and return the refusal of an image. In a line: a request may have hundreds."""
    log.error("%s failed: %r", what, error)
    return InternalError()
