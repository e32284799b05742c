"""The instruments: many values at once are observed as one by one."""

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, Histogram

from serving.telemetry.metrics import PROBABILITIES, SECONDS_BUCKETS, SET_SIZES, Distribution


def buckets(registry):
    """Return the samples of the histogram, by name and labels."""
    (family,) = registry.collect()
    samples = {(sample.name, *sample.labels.values()): sample.value for sample in family.samples}
    del samples["values_created",]
    return samples


def observed_one_by_one(bounds, values):
    registry = CollectorRegistry()
    histogram = Histogram("values", "Values.", buckets=bounds, registry=registry)
    for value in values:
        histogram.observe(value)
    return buckets(registry)


def observed_at_once(bounds, values):
    registry = CollectorRegistry()
    Distribution("values", "Values.", buckets=bounds, registry=registry).observe_all(values)
    return buckets(registry)


@pytest.mark.parametrize(
    ("bounds", "values"),
    [
        pytest.param(SET_SIZES, np.array([1, 1, 2, 3, 5, 6, 7, 8, 20, 100, 101]), id="integers on and between bounds"),
        pytest.param(SET_SIZES, np.arange(1, 11), id="every set size of ten labels"),
        pytest.param(PROBABILITIES, np.array([0.0, 0.5, 0.95, 1.0]), id="floats on bounds"),
        pytest.param(SECONDS_BUCKETS, np.array([0.0, 1e-9, 0.00007, 0.3, 5.0, 60.0]), id="seconds"),
        pytest.param((0.25, 0.5, 1.0), np.array([0.25, 0.5, 1.0], np.float32), id="32-bit floats on bounds"),
    ],
)
def test_values_are_counted_in_the_buckets_that_prometheus_counts_them_in(bounds, values):
    assert observed_at_once(bounds, values) == observed_one_by_one(bounds, values)


def test_a_set_of_one_label_is_in_the_bucket_up_to_one():
    samples = observed_at_once(SET_SIZES, np.array([1, 2, 2]))

    assert (samples["values_bucket", "1.0"], samples["values_bucket", "2.0"]) == (1, 3)
