"""What a model says of one image, as it goes over the wire: written by the service, read by its client."""

from msgspec import UNSET, Struct, UnsetType


class Candidate(Struct, frozen=True, gc=False):
    """One label and how probable it is."""

    label: str
    index: int
    probability: float


class Prediction(Struct, frozen=True, kw_only=True):
    """What a model says of one image, and what was done to the image to ask it.

    set: the labels among which the truth is, with this coverage, on data like the training data.
    """

    model: str
    version: str
    label: str
    index: int
    probability: float
    top: list[Candidate]
    set: list[str]
    coverage: float
    novelty: float | UnsetType = UNSET
    novel: bool | UnsetType = UNSET
    fit: tuple[str, ...]
    seen: str | UnsetType = UNSET
