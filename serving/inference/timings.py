"""Where a request's time goes."""

from dataclasses import dataclass, field
from typing import NamedTuple

from serving.model.classifier import Classifier

SHOWN = ("decode", "fit", "infer")  # the stages that everybody is told of
STAGES = "thimble.stages"  # where a request's environment has them, once it is answered


class Batch(NamedTuple):
    """A request's share of a graph's run: whose, how many images and seconds, and when it ended in Unix time."""

    classifier: Classifier
    images: int
    seconds: float
    ended: float


@dataclass
class Stages:
    """How many seconds a request spent on decoding its images, making them inputs, and in the graphs.

    wait: until its turn came. answer: on putting the answer into words. batches: its runs of graphs.
    """

    decode: float = 0.0
    fit: float = 0.0
    infer: float = 0.0
    wait: float = 0.0
    answer: float = 0.0
    batches: list[Batch] = field(default_factory=list)

    def header(self) -> str:
        """Return the value of a Server-Timing header, in milliseconds."""
        return f"decode;dur={self.decode * 1e3:.3f}, fit;dur={self.fit * 1e3:.3f}, infer;dur={self.infer * 1e3:.3f}"
