"""The paths and the errors of the Open Inference Protocol V2."""

from dataclasses import replace

import msgspec

from serving.api.replies import JSON, Reply
from serving.errors import Refusal

PATH = "/v2"


class V2Error(msgspec.Struct, frozen=True):
    """The protocol's error: why a request is refused."""

    error: str


def is_v2(path: str) -> bool:
    """Whether a path, existing or not, belongs to the protocol."""
    return path == PATH or path.startswith(f"{PATH}/")


def as_v2_error(reply: Reply, refusal: Refusal) -> Reply:
    """Return the reply to a refused request in the protocol's form."""
    return replace(reply, body=msgspec.json.encode(V2Error(str(refusal))), content_type=JSON)
