"""What each model was asked and what that took, in the words of NVIDIA Triton, whose boards and clients know them."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from prometheus_client import Metric
from prometheus_client.core import UntypedMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from serving.telemetry.metrics import LEDGER, WHOSE

FIGURES = {
    "nv_inference_request_success": "Requests that a model answered.",
    "nv_inference_count": "Images that it answered.",
    "nv_inference_exec_count": "Runs of its graph; one that requests share counts for each.",
    "nv_inference_request_duration_us": "Microseconds that the answered requests took in all.",
    "nv_inference_queue_duration_us": "Microseconds that they waited for their turn.",
    "nv_inference_compute_input_duration_us": "Microseconds in which their images were decoded and fitted.",
    "nv_inference_compute_infer_duration_us": "Microseconds in its graph.",
    "nv_inference_compute_output_duration_us": "Microseconds in which the answers were put into words.",
}
PREFIX = f"thimble_{LEDGER}"
FAILURES = "nv_inference_request_failure", "Requests that named a model and were refused."


@dataclass
class Runs:
    """Runs of a graph, each for one request: how many, over how many images in all, and their seconds by stage."""

    count: int = 0
    images: int = 0
    queue: float = 0.0
    input: float = 0.0
    infer: float = 0.0
    output: float = 0.0

    @property
    def seconds(self) -> float:
        """What the requests took in all."""
        return self.queue + self.input + self.infer + self.output


@dataclass
class Ledger:
    """All that was asked of one version of a model. sizes: its runs by the images of each. last: as Unix time."""

    sizes: dict[int, Runs] = field(default_factory=lambda: defaultdict(Runs))
    failures: dict[str, int] = field(default_factory=dict)
    failure_seconds: float = 0.0
    last: float = 0.0

    @property
    def all(self) -> Runs:
        """Its runs over batches of any size."""
        columns = zip(*(vars(runs).values() for runs in self.sizes.values()), strict=True)
        return Runs(*map(sum, columns))

    def enter(self, sample: Sample) -> None:
        """Take over one count of serving.telemetry.metrics."""
        value, labels = sample.value, sample.labels
        match sample.name.removeprefix(PREFIX):
            case "batches_total":
                runs = self.sizes[int(labels["size"])]
                runs.count, runs.images = int(value), int(labels["size"]) * int(value)
            case "batch_seconds_total":
                setattr(self.sizes[int(labels["size"])], labels["stage"], value)
            case "failures_total":
                self.failures[labels["reason"]] = int(value)
            case "failure_seconds_total":
                self.failure_seconds = value
            case "last":
                self.last = value


Ledgers = dict[tuple[str, ...], Ledger]  # by model and version


class Statistics(Collector):
    """Reads the counts of all workers; what another worker counted may be a second old."""

    def __init__(self, counted: Collector) -> None:
        """counted: where the instruments of serving.telemetry.metrics are collected."""
        self._counted = counted

    def ledgers(self) -> Ledgers:
        """Return what was asked of each model and version that was asked anything."""
        return _ledgers(self._counted.collect())

    def collect(self) -> Iterator[Metric]:
        """Yield all that is counted, the ledgers in Triton's words."""
        families = list(self._counted.collect())
        yield from (family for family in families if not family.name.startswith(PREFIX))
        ledgers = _ledgers(families)
        named = [UntypedMetricFamily(name, meaning, labels=WHOSE) for name, meaning in FIGURES.items()]
        failures = UntypedMetricFamily(*FAILURES, labels=(*WHOSE, "reason"))
        for whose, ledger in ledgers.items():
            for family, figure in zip(named, _figures(ledger.all), strict=True):
                family.add_metric(whose, figure)
            for reason, count in ledger.failures.items():
                failures.add_metric((*whose, reason), count)
        yield from (*named, failures)


def _ledgers(families: Iterable[Metric]) -> Ledgers:
    ledgers: Ledgers = defaultdict(Ledger)
    for family in families:
        for sample in family.samples if family.name.startswith(PREFIX) else ():
            ledgers[tuple(sample.labels[label] for label in WHOSE)].enter(sample)
    return dict(ledgers)


def _figures(runs: Runs) -> list[int]:
    """Return what FIGURES names; a run that several requests share counts for each of them."""
    seconds = runs.seconds, runs.queue, runs.input, runs.infer, runs.output
    return [runs.count, runs.images, runs.count, *(round(value * 1e6) for value in seconds)]
