"""The contract of a model file: its names, and its card, one JSON document in the ONNX file's metadata."""

import base64
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import msgspec
import numpy as np
from msgspec import UNSET, Meta, Struct, UnsetType
from numpy.typing import NDArray
from PIL import Image

from serving.imaging.png import from_png, to_png
from serving.model.conformal import MAX_ENTRIES, Conformal
from serving.model.metrics import Count, ModelMetrics, NotNegative, Novelty, Photos
from serving.model.task import SINGLE_LABEL, MultiLabel, Share, Task

CARD_KEY = "thimble.card"
MODEL_FILE = "model.onnx"  # in the folder of each version
SIGNATURE_SUFFIX = ".sig"  # in place of a model file's own: the signature of model.onnx is model.sig
LABELS_FILE = "labels.txt"  # in the model's folder
INPUT, PROBABILITIES, NOVELTY = "image", "probabilities", "novelty"  # the tensors of a graph
GOLDEN_TOLERANCE = 1e-3
MIN_GOLDEN_SAMPLES, MAX_GOLDEN_SAMPLES = 3, 64  # every probe of readiness runs them all
MAX_CARD_CHARS = 16 << 20  # four golden samples of 1024 x 1024 random pixels take that
MAX_MESSAGE_CHARS = 2_000
MAX_LABELS = 25_000  # the whole of ImageNet has 21,841
MAX_LABEL_CHARS = 200

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
VERSION = r"[1-9][0-9]{0,8}"

Text = Annotated[str, Meta(min_length=1, max_length=1000)]
Name = Annotated[str, Meta(pattern=rf"^{NAME}\Z")]
Version = Annotated[str, Meta(pattern=rf"^{VERSION}\Z")]
# V2's classification answers separate fields by colons.
Label = Annotated[str, Meta(pattern=rf"^[^:\r\n]{{1,{MAX_LABEL_CHARS}}}\Z")]
Positive = Annotated[float, Meta(gt=0)]


class ContractError(ValueError):
    """A model file breaks the contract; the message says where, and what to do.

    It is one line for a log or a terminal, since it may quote anything that the file has.
    """

    def __init__(self, message: str) -> None:
        shown = message[:MAX_MESSAGE_CHARS]
        super().__init__("".join(one if one.isprintable() else ascii(one)[1:-1] for one in shown))


class Golden(Struct, frozen=True):
    """An image of the exporter's own making, and the trained network's outputs for it."""

    image: str
    probabilities: list[Share]
    novelty: float | UnsetType = UNSET

    @classmethod
    def of(
        cls, pixels: NDArray[np.uint8], probabilities: NDArray[np.float32], novelty: float | UnsetType = UNSET
    ) -> Self:
        """Record a sample; pixels: uint8 [height, width, channels], probabilities: [classes]."""
        return cls(base64.b64encode(to_png(pixels)).decode(), [float(p) for p in probabilities], novelty)

    def pixels(self) -> NDArray[np.uint8]:
        """Return the image as uint8 [height, width, channels]; raises ContractError when it is not a PNG."""
        try:
            return from_png(base64.b64decode(self.image, validate=True))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise ContractError("a golden sample's image is not a PNG in base64") from error


class Spread(Struct, frozen=True):
    """Mean and standard deviation."""

    mean: float
    spread: NotNegative


class Reference(Struct, frozen=True, kw_only=True):
    """The baseline for drift: predictions for validation images, and those images' brightness (0 to 1).

    labels: the share of the predicted labels that each has, in index order.
    """

    labels: list[Share]
    brightness: Spread
    top_probability: Spread
    entropy: Spread | UnsetType = UNSET


class Training(Struct, frozen=True, kw_only=True):
    """The training, in enough detail to repeat it.

    limit: the number of images that --limit allowed. quantization: how the trained network became integers; absent for
    a graph in float32.
    teachers: the models whose probabilities were learned too, each with its version, network and SHA-256. view: the
    name of the function that drew other versions of the training images. augmentations: the names of those functions
    that changed images at random, or flipped them, as they were learned from.
    """

    recipe: Text
    seed: int
    epochs: Annotated[int, Meta(ge=0)]
    seconds: NotNegative
    device: Text
    libraries: Annotated[dict[str, str], Meta(max_length=MAX_ENTRIES)]
    date: Text
    limit: int | UnsetType = UNSET
    quantization: Text | UnsetType = UNSET
    teachers: Annotated[list[Text], Meta(max_length=MAX_ENTRIES)] | UnsetType = UNSET
    view: Text | UnsetType = UNSET
    augmentations: Annotated[list[Text], Meta(max_length=MAX_ENTRIES)] | UnsetType = UNSET
    data_sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
    epoch_accuracy: list[Share]


class ModelCard(Struct, frozen=True, kw_only=True):
    """Everything that a server, a client or a person must know of an exported graph.

    task: absent where an image has one label. notes: what the figures do not say, such as why novelty is left out.
    """

    schema: Literal[1]
    name: Name
    version: Version
    title: Text
    dataset: Text
    licence: Text
    labels: Annotated[list[Label], Meta(min_length=2, max_length=MAX_LABELS)]
    network: Text
    parameters: Count
    task: MultiLabel | UnsetType = UNSET
    fit: Literal["garment", "photo"]
    metrics: ModelMetrics
    temperature: Positive
    conformal: Conformal
    novelty: Novelty | UnsetType = UNSET
    photos: Photos | UnsetType = UNSET
    reference: Reference
    golden: Annotated[list[Golden], Meta(min_length=MIN_GOLDEN_SAMPLES, max_length=MAX_GOLDEN_SAMPLES)]
    training: Training
    notes: Annotated[list[Text], Meta(max_length=MAX_ENTRIES)] | UnsetType = UNSET

    def __post_init__(self) -> None:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("a label is repeated")
        if any(len(golden.probabilities) != len(self.labels) for golden in self.golden):
            raise ValueError("a golden sample must have one probability for each label")
        if len(self.reference.labels) != len(self.labels):
            raise ValueError("the reference must have one share for each label")
        if self.task and len(self.task.thresholds) != len(self.labels):
            raise ValueError("the task must have one threshold for each label")
        for level in (self.conformal.default, *self.conformal.levels):
            if len(level.by_label(len(self.labels))) != len(self.labels):
                raise ValueError(f"the coverage {level.coverage:g} must have one threshold for all labels or for each")

    @property
    def decision(self) -> Task:
        """The rule by which labels are given: the most probable one, unless the task has another."""
        return self.task or SINGLE_LABEL

    def decide(self, probabilities: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return which labels images are given: bool [n, classes]."""
        return self.decision.decide(probabilities)

    def sets(self, probabilities: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return which labels are in the sets of the default coverage: bool [n, classes]."""
        return self.conformal.default.sets(probabilities, self.decision)

    def novel(self, novelty: NDArray[np.float32] | None) -> list[bool] | None:
        """Return which images are unlike the training data, by their novelty [n]; None where it is not measured.

        One whose novelty is NaN is.
        """
        if novelty is None or self.novelty is UNSET:
            return None
        threshold = self.novelty.threshold
        return [not value <= threshold for value in novelty.tolist()]

    def to_metadata(self) -> dict[str, str]:
        """Return the metadata entry that from_metadata reads."""
        return {CARD_KEY: msgspec.json.encode(self).decode()}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> Self:
        """Read the card of a graph's metadata; raises ContractError when it is missing or not valid."""
        if CARD_KEY not in metadata:
            raise ContractError(f"no '{CARD_KEY}' in the metadata; export it with python -m training.export")
        if (chars := len(metadata[CARD_KEY])) > MAX_CARD_CHARS:
            raise ContractError(f"the card has {chars:,} characters; the limit is {MAX_CARD_CHARS:,}")
        try:
            card = msgspec.json.decode(metadata[CARD_KEY], type=cls)
            json.loads(metadata[CARD_KEY], object_pairs_hook=_unique, parse_int=str, parse_float=str)
        except (ValueError, RecursionError) as error:
            message = f"the card is not valid: {error}; export it again with python -m training.export"
            raise ContractError(message) from error
        return card


def _unique(members: list[tuple[str, Any]]) -> None:
    """Refuse an object of JSON with a repeated member: readers differ in which of the two they take (RFC 8259)."""
    names = set()
    for name, _ in members:
        if name in names:
            raise ValueError(f"the member {name[:100]!r} is repeated")
        names.add(name)
