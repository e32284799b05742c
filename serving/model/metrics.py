"""The metrics of a model, as an evaluation measures them and the card has them."""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from serving.model.conformal import MAX_ENTRIES
from serving.model.task import Share

NotNegative = Annotated[float, Meta(ge=0)]
Count = Annotated[int, Meta(ge=1)]


class Corrupted(Struct, frozen=True, kw_only=True):
    """Metrics on n test images after the corruptions of CIFAR-10-C (Hendrycks and Dietterich 2019), in all severities.

    by_corruption: the accuracy for each corruption.
    """

    accuracy: Share
    ece: Share
    set_coverage: Share
    n: Count
    by_corruption: Annotated[dict[str, Share], Meta(max_length=MAX_ENTRIES)] = {}


class ModelMetrics(Struct, frozen=True, kw_only=True):
    """Metrics on the test set, as served: from the exported graph through onnxruntime.

    ece: expected calibration error. ece_uncalibrated: the same at temperature 1. set_size, set_coverage: mean size of
    the label sets at the default coverage, and the share of the true labels that are in them. f1, map: of a multi-label
    model alone, the means over the labels of the F1 score and of average precision.
    """

    accuracy: Share
    n: Count
    loss: NotNegative
    ece: Share
    ece_uncalibrated: Share | UnsetType = UNSET
    set_size: NotNegative
    set_coverage: Share
    f1: Share | UnsetType = UNSET
    map: Share | UnsetType = UNSET
    corrupted: Corrupted | UnsetType = UNSET


class Novelty(Struct, frozen=True, kw_only=True):
    """The novelty threshold: above it an image is unlike the training data.

    share: of test images above the threshold. auroc: area under the ROC curve of telling out-of-distribution images
    from test images, by the kind of image.
    """

    threshold: float
    share: Share
    auroc: Annotated[dict[str, Share], Meta(max_length=MAX_ENTRIES)] = {}


class Photos(Struct, frozen=True, kw_only=True):
    """Accuracy on test images made into photos as people take them, and on the same n images untouched."""

    accuracy: Share
    untouched: Share
    n: Count
