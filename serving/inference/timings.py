"""The time that a request takes, by stage."""

from dataclasses import dataclass, field
from time import time
from typing import NamedTuple

from serving.model.classifier import Classifier

REPORTED_STAGES = ("decode", "fit", "infer")  # the stages in Server-Timing, in the log and in thimble_stage_seconds
TIMINGS_KEY = "thimble.timings"  # of an answered request's Timings in its WSGI environ


class ModelRun(NamedTuple):
    """A request's share of a run of a graph. seconds: its part of the run's time. ended: Unix time."""

    classifier: Classifier
    images: int
    seconds: float
    ended: float


@dataclass
class Timings:
    """Seconds that a request spent on decoding its images, preprocessing them (fit), and in the graphs (infer).

    wait: until its turn came. answer: on writing the answer. runs: of graphs.
    """

    decode: float = 0.0
    fit: float = 0.0
    infer: float = 0.0
    wait: float = 0.0
    answer: float = 0.0
    runs: list[ModelRun] = field(default_factory=list)

    def add_run(self, classifier: Classifier, images: int, seconds: float) -> None:
        """Note a run of a graph that has just ended, and its time."""
        self.infer += seconds
        self.runs.append(ModelRun(classifier, images, seconds, time()))

    def server_timing(self) -> str:
        """Return the value of a Server-Timing header, in milliseconds."""
        return f"decode;dur={self.decode * 1e3:.3f}, fit;dur={self.fit * 1e3:.3f}, infer;dur={self.infer * 1e3:.3f}"
