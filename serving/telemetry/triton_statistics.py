"""Each model's requests and times in the terms of NVIDIA Triton, which its dashboards and clients understand."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from prometheus_client import Metric
from prometheus_client.core import UntypedMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from serving.telemetry.metrics import INTERNAL_PREFIX, MODEL_LABELS

TRITON_METRICS = {
    "nv_inference_request_success": "Requests that a model answered.",
    "nv_inference_count": "Images that it answered.",
    "nv_inference_exec_count": "Runs of its graph; one that requests share counts for each.",
    "nv_inference_request_duration_us": "Microseconds that the answered requests took in all.",
    "nv_inference_queue_duration_us": "Microseconds that they waited for their turn.",
    "nv_inference_compute_input_duration_us": "Microseconds of decoding and preprocessing their images.",
    "nv_inference_compute_infer_duration_us": "Microseconds in its graph.",
    "nv_inference_compute_output_duration_us": "Microseconds of writing the answers.",
}
PREFIX = f"thimble_{INTERNAL_PREFIX}"
FAILURES = "nv_inference_request_failure", "Requests that named a model and were refused."


@dataclass
class RunTotals:
    """Runs of a graph, each for one request: their number, their images, and their seconds by stage."""

    count: int = 0
    images: int = 0
    queue: float = 0.0
    input: float = 0.0
    infer: float = 0.0
    output: float = 0.0

    @property
    def seconds(self) -> float:
        """The seconds that the requests took in all."""
        return self.queue + self.input + self.infer + self.output


@dataclass
class ModelStatistics:
    """The requests to one version of a model. by_size: its runs by images. last_run: Unix time."""

    by_size: dict[int, RunTotals] = field(default_factory=lambda: defaultdict(RunTotals))
    failures: dict[str, int] = field(default_factory=dict)
    failure_seconds: float = 0.0
    last_run: float = 0.0

    @property
    def total(self) -> RunTotals:
        """Its runs of any size."""
        columns = zip(*(vars(runs).values() for runs in self.by_size.values()), strict=True)
        return RunTotals(*map(sum, columns))

    def add(self, sample: Sample) -> None:
        """Add one sample of the internal instruments of serving.telemetry.metrics."""
        value, labels = sample.value, sample.labels
        match sample.name.removeprefix(PREFIX):
            case "batches_total":
                runs = self.by_size[int(labels["size"])]
                runs.count, runs.images = int(value), int(labels["size"]) * int(value)
            case "batch_seconds_total":
                setattr(self.by_size[int(labels["size"])], labels["stage"], value)
            case "failures_total":
                self.failures[labels["reason"]] = int(value)
            case "failure_seconds_total":
                self.failure_seconds = value
            case "last":
                self.last_run = value


StatisticsByModel = dict[tuple[str, ...], ModelStatistics]  # by model and version


class TritonStatistics(Collector):
    """Reads the counts of all workers; those of another worker may be a second late."""

    def __init__(self, collector: Collector) -> None:
        """collector: of the instruments of serving.telemetry.metrics, for all workers."""
        self._collector = collector

    def by_model(self) -> StatisticsByModel:
        """Return the statistics of each model and version that had a request."""
        return _by_model(self._collector.collect())

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics, the internal ones as Triton's."""
        families = list(self._collector.collect())
        yield from (family for family in families if not family.name.startswith(PREFIX))
        triton = [UntypedMetricFamily(name, meaning, labels=MODEL_LABELS) for name, meaning in TRITON_METRICS.items()]
        failures = UntypedMetricFamily(*FAILURES, labels=(*MODEL_LABELS, "reason"))
        for model, statistics in _by_model(families).items():
            for family, value in zip(triton, _values(statistics.total), strict=True):
                family.add_metric(model, value)
            for reason, count in statistics.failures.items():
                failures.add_metric((*model, reason), count)
        yield from (*triton, failures)


def _by_model(families: Iterable[Metric]) -> StatisticsByModel:
    found: StatisticsByModel = defaultdict(ModelStatistics)
    for family in families:
        for sample in family.samples if family.name.startswith(PREFIX) else ():
            found[tuple(sample.labels[label] for label in MODEL_LABELS)].add(sample)
    return dict(found)


def _values(runs: RunTotals) -> list[int]:
    """Return the values of TRITON_METRICS; a run that several requests share counts for each of them."""
    seconds = runs.seconds, runs.queue, runs.input, runs.infer, runs.output
    return [runs.count, runs.images, runs.count, *(round(value * 1e6) for value in seconds)]
