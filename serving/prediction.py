"""A prediction as it goes over the wire: written by the service, read by its client."""

from msgspec import UNSET, Struct, UnsetType


class Candidate(Struct, frozen=True, gc=False):
    """A label and its probability."""

    label: str
    index: int
    probability: float


class Prediction(Struct, frozen=True, kw_only=True):
    """A model's prediction for one image, and the preprocessing steps (fit) that made the image its input.

    labels: of a multi-label model alone, those that reach their thresholds; there may be none. set: the labels that
    hold each true one with this coverage, on data like the training data; on a novel image the set promises nothing,
    and coverage is None. file: the image's file name in a form.
    """

    model: str
    version: str
    label: str
    index: int
    probability: float
    top: list[Candidate]
    labels: list[Candidate] | UnsetType = UNSET
    set: list[str]
    coverage: float | None
    novelty: float | UnsetType = UNSET
    novel: bool | UnsetType = UNSET
    fit: tuple[str, ...]
    seen: str | UnsetType = UNSET
    file: str | UnsetType = UNSET
