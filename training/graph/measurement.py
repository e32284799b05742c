"""Measure a graph and its int8 version side by side, and say whether int8 is worth keeping."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from serving.model.card import INPUT, PROBABILITIES
from serving.model.runtime import open_session
from training.datasets.labelled import LabelledImages
from training.graph.onnx_export import run
from training.task import SINGLE, Task

REPETITIONS = 500  # of each timing, so that the median moves by no more than a few hundredths
WARM_UP_RUNS = 20  # that are not counted


@dataclass(frozen=True)
class Measurement:
    """The cost of a graph on this machine, and its accuracy.

    size: bytes. ms: milliseconds for one image on one thread. correct: of n validation images.
    """

    size: int
    ms: float
    correct: int
    n: int


@dataclass(frozen=True)
class Int8Limits:
    """When int8 is worth keeping. max_lost: more validation images wrong than before, in a thousand."""

    min_speedup: float = 1.2
    max_lost: int = 3


BESIDE_LIMITS = Int8Limits()  # for int8 as a model beside the original
REPLACEMENT_LIMITS = Int8Limits(min_speedup=1.5, max_lost=1)  # for int8 in its place


def measure(
    graphs: Sequence[onnx.ModelProto],
    validation: LabelledImages,
    repetitions: int = REPETITIONS,
    task: Task = SINGLE,
) -> list[Measurement]:
    """Measure graphs side by side on validation images."""
    files, pixels = [graph.SerializeToString() for graph in graphs], validation.pixels.numpy()
    return [
        Measurement(len(file), ms, _correct(graph, validation, task), len(validation))
        for graph, file, ms in zip(graphs, files, _milliseconds(files, pixels[:1], repetitions), strict=True)
    ]


def comparison(before: Measurement, after: Measurement) -> str:
    """Return a sentence that compares int8 with the original."""
    return (
        f"int8, on one thread and {before.n:,} validation images: {after.size / 1e6:.2f} MB instead of "
        f"{before.size / 1e6:.2f}, {after.ms:.3f} ms an image instead of {before.ms:.3f}, "
        f"accuracy {after.correct / after.n:.4f} instead of {before.correct / before.n:.4f}"
    )


def objections(before: Measurement, after: Measurement, limits: Int8Limits = BESIDE_LIMITS) -> list[str]:
    """Return the reasons why int8 is not worth keeping; an empty list where it is."""
    lost = before.correct - after.correct
    found = {
        "it is not smaller": after.size >= before.size,
        f"it is {before.ms / after.ms:.3f} times as fast, at least {limits.min_speedup:g} is needed": (
            before.ms < after.ms * limits.min_speedup
        ),
        f"it loses {100 * lost / before.n:.3f} points of accuracy, at most {limits.max_lost / 10:g} are allowed": (
            lost * 1_000 > limits.max_lost * before.n
        ),
    }
    return [reason for reason, holds in found.items() if holds]


def _correct(graph: onnx.ModelProto, images: LabelledImages, task: Task) -> int:
    probabilities = torch.from_numpy(run(graph, images.pixels.numpy()).probabilities)
    return int(task.right(probabilities, images.labels).sum())


def _milliseconds(files: Sequence[bytes], image: NDArray[np.uint8], repetitions: int) -> list[float]:
    """Return the median time that each graph takes for an image; they take turns, so that caches serve all alike.

    The time is the thread's own, not the clock's: a busy machine interrupts a slow graph more often than a fast one,
    which would make it seem ten times slower than it is.
    """
    sessions = [open_session(file, threads=1) for file in files]
    seconds: list[list[float]] = [[] for _ in files]
    for _ in range(WARM_UP_RUNS + repetitions):
        for session, times in zip(sessions, seconds, strict=True):
            start = time.thread_time()
            session.run([PROBABILITIES], {INPUT: image})
            times.append(time.thread_time() - start)
    return [1_000 * statistics.median(times[WARM_UP_RUNS:]) for times in seconds]
