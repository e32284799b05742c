"""The client for Python programs; in a shell, python -m serving.client IMAGE ... does the same.

    from serving.client import Client, Problem

    with Client("http://127.0.0.1:8000") as client:
        for answer in client.classify(["cat.jpg", "dog.png"], model="cifar-net"):
            print(answer.detail if isinstance(answer, Problem) else answer.label)

It imports neither Flask nor onnxruntime, nor anything else that only the service needs.
"""

import os
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Annotated, Protocol, Self, runtime_checkable
from urllib.parse import urlencode

import msgspec
from msgspec import Meta, Struct

from serving.client.connection import BadAnswerError, ClientError, NoAnswerError, RawResponse, ServiceConnection
from serving.errors import Problem
from serving.prediction import Prediction

__all__ = ["URL", "BadAnswerError", "Client", "ClientError", "NoAnswerError"]

URL = "http://127.0.0.1:8000"
MAX_ATTEMPTS = 5  # for an image, while the service answers that it is busy
BUSY_STATUSES = (429, 503)
MAX_RETRY_AFTER = 60.0  # seconds: the page waits as long; a limit for each minute says no more


@runtime_checkable
class OpenFile(Protocol):
    """A file that is open for reading bytes."""

    def read(self) -> bytes: ...


Image = str | os.PathLike[str] | bytes | bytearray | memoryview | OpenFile
ONE_IMAGE = (str, os.PathLike, bytes, bytearray, memoryview, OpenFile)


class _Predictions(Struct):
    """The service's answer to one image."""

    predictions: Annotated[list[Prediction], Meta(min_length=1, max_length=1)]


class Client:
    """Asks a service for one image at a time, so that each has its own prediction or its own problem.

    Threads may share a client and take turns; for answers at the same time, give each its own.
    """

    def __init__(self, url: str = URL, timeout: float = 60.0, key: str | None = None) -> None:
        """timeout: seconds for each answer, up to an hour. key: if the service needs one.

        Raises ValueError for a bad URL, timeout or key.
        """
        self._url = url
        self._connection = ServiceConnection(url, timeout, key)

    def classify(
        self,
        images: Image | Iterable[Image],
        *,
        model: str | None = None,
        top_k: int | None = None,
        coverage: float | None = None,
    ) -> list[Prediction | Problem]:
        """Return a prediction for each image, or the problem with it.

        images: one or several, each a path, a file's bytes, or a file opened for reading bytes. While the service is
        busy (429 or 503) it is asked up to five times for an image, each time after as long as its Retry-After says;
        then, and at once where that is more than a minute, the image's answer is that problem.

        Raises ClientError when the service does not answer, OSError when a file cannot be read, and TypeError for an
        image that is not a file, such as an array of pixels.
        """
        given = {"model": model, "top_k": top_k, "coverage": coverage}
        query = urlencode({name: value for name, value in given.items() if value is not None})
        several = images if isinstance(images, Iterable) and not isinstance(images, ONE_IMAGE) else [images]
        return [self._ask(_content(image), f"/classify?{query}") for image in several]

    def _ask(self, content: bytes, path: str) -> Prediction | Problem:
        answer = self._connection.post(path, content)
        for _ in range(MAX_ATTEMPTS - 1):
            if answer.status not in BUSY_STATUSES or answer.retry_after > MAX_RETRY_AFTER:
                break
            time.sleep(answer.retry_after)
            answer = self._connection.post(path, content)
        return self._decode(answer)

    def _decode(self, answer: RawResponse) -> Prediction | Problem:
        try:
            if answer.status == 200:
                return msgspec.json.decode(answer.body, type=_Predictions).predictions[0]
            return msgspec.json.decode(answer.body, type=Problem)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadAnswerError(
                f"{self._url} answers with status {answer.status} and {answer.body[:60]!r}, which is not an answer of "
                f"this service ({error}); check the URL."
            ) from error

    def close(self) -> None:
        """Close the connection; the next image opens another."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()


def _content(image: Image) -> bytes:
    """Return the bytes of an image's file; raises OSError, and TypeError for what has no bytes of a file."""
    if not isinstance(image, ONE_IMAGE):
        raise TypeError(
            f"{type(image).__name__} is not a file; give its path, its bytes, or a file opened for reading bytes"
        )
    if isinstance(image, (bytes, bytearray, memoryview)):
        return bytes(image)
    content = image.read() if isinstance(image, OpenFile) else Path(image).read_bytes()
    if not isinstance(content, bytes):
        raise TypeError(f"{image!r} gives text; open it for reading bytes, with mode 'rb'")
    return content
